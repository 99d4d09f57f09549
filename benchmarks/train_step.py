"""Speed and memory of one training step on all tasks, with random data.

    python -m benchmarks.train_step [--backbone=resnet26] [--batch=2] [--size=256] ...

Prints for both update rules the median time of a step, images a second, compile time, memory and
floating-point operations. A step of `per_task` is one optimizer step for each task, through one
compiled program; a step of `joint` is one on the sum of all losses. Each rule is measured in a
process of its own.
"""

import argparse

import jax

from astmt_jax.config import OptimizerConfig
from astmt_jax.runtime import allocator
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.schedules import poly_schedule, reversal_schedule
from astmt_jax.training.train_step import UPDATES, TrainStep
from astmt_jax.training.update import Ingredients
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
    print_table(args, [(rule, in_own_process(measure_update, args, rule)) for rule in UPDATES])


def build_step(args: argparse.Namespace, rule: str) -> TrainStep:
    """The training step of the network that the flags describe, by an update rule."""
    tasks = chosen_tasks(args)
    config = OptimizerConfig()
    ingredients = Ingredients(
        Objective(build_network(args), tasks, discriminator_weight=0.01),
        Optimizer(config, len(tasks)),
        poly_schedule(config, steps_per_epoch=1000, epochs=60),
        reversal_schedule(steps_per_epoch=1000, epochs=60),
    )
    return TrainStep(ingredients, rule)


def measure_update(args: argparse.Namespace, rule: str) -> Measurement:
    """One step by an update rule."""
    step = build_step(args, rule)
    state = step.init(jax.random.key(0))
    batch = jax.device_put(random_batch(chosen_tasks(args), args.batch, args.size))

    def compiled():
        # Called as it is, `per_task` would compile again, for an index that it has put elsewhere.
        step.update.program = step.update.lower(state, batch).compile()
        return step.update.program

    def update(_):
        nonlocal state
        state, metrics = step.update(state, batch)
        return metrics

    return measure(compiled, update, calls=step.update.runs, steps=args.steps)


if __name__ == "__main__":
    allocator.use()
    main()
