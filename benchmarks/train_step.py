"""Speed and memory of one training step on all tasks, with random data.

    python -m benchmarks.train_step [--backbone=resnet26] [--batch=2] [--size=256] ...

Prints for both update rules the median time of a step, images a second, compile time, memory and
floating-point operations. A step of `per_task` is one optimizer step for each task, through one
compiled program; a step of `joint` is one on the sum of all losses. Each rule is measured in a
process of its own.
"""

import argparse

import jax
import jax.numpy as jnp

from astmt_jax.training.optimizer import (
    Optimizer,
    OptimizerConfig,
    poly_schedule,
    reversal_schedule,
)
from astmt_jax.training.train_step import TrainStep
from benchmarks.networks import (
    Measurement,
    build_network,
    chosen_tasks,
    in_own_process,
    measure,
    parse_flags,
    print_table,
    random_batch,
)


def main():
    args = parse_flags(__doc__.splitlines()[0])
    rows = [
        ("per_task", in_own_process(measure_per_task, args)),
        ("joint", in_own_process(measure_joint, args)),
    ]
    print_table(args, rows)


def measure_per_task(args: argparse.Namespace) -> Measurement:
    """One optimizer step for each task."""
    update, state, batch = _prepare(args)
    indices = [jnp.int32(index) for index in range(len(update.network.names))]

    def step(compiled):
        nonlocal state
        for index in indices:
            state, metrics = compiled(state, batch, index)
        return metrics

    return measure(
        lambda: update.task_step.lower(state, batch, indices[0]).compile(),
        step,
        calls=len(indices),
        steps=args.steps,
    )


def measure_joint(args: argparse.Namespace) -> Measurement:
    """One optimizer step for all tasks."""
    update, state, batch = _prepare(args)

    def step(compiled):
        nonlocal state
        state, metrics = compiled(state, batch)
        return metrics

    return measure(
        lambda: update.joint_step.lower(state, batch).compile(), step, calls=1, steps=args.steps
    )


def _prepare(args: argparse.Namespace):
    """The step, a state to start from, and a batch on the device."""
    network, records = build_network(args), chosen_tasks(args)
    config = OptimizerConfig()
    update = TrainStep(
        network,
        records,
        Optimizer(config, len(records)),
        poly_schedule(config, steps_per_epoch=1000, epochs=60),
        reversal_schedule(steps_per_epoch=1000, epochs=60),
        discriminator_weight=0.01,
    )
    state = update.init(jax.random.key(0))
    return update, state, jax.device_put(random_batch(records, args.batch, args.size))


if __name__ == "__main__":
    main()
