"""Speed and memory of inference, with random data.

    python -m benchmarks.inference [--backbone=resnet26] [--batch=2] [--size=256] ...

Prints the median time of a batch, images a second, compile time, memory and floating-point
operations, of all tasks at once and of the first task alone. What does not depend on the task is
computed once for all of them. Each is measured in a process of its own.
"""

import argparse

import jax

from astmt_jax.runtime import allocator
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
    first = args.tasks.split("+")[0]
    rows = [
        ("all tasks", in_own_process(measure_prediction, args, None)),
        (first, in_own_process(measure_prediction, args, first)),
    ]
    print_table(args, rows)


def measure_prediction(args: argparse.Namespace, name: str | None) -> Measurement:
    """Logits of task `name` at the images' resolution; of all tasks for None."""
    network = build_network(args)
    params, stats = jax.jit(network.init)(jax.random.key(0))
    images = jax.device_put(random_batch(chosen_tasks(args), args.batch, args.size)["image"])

    @jax.jit
    def predict(params, stats, images):
        if name is None:
            return network.all_logits(params, stats, images)
        return network.task_logits(params, stats, images, name)

    return measure(
        lambda: predict.lower(params, stats, images).compile(),
        lambda compiled: compiled(params, stats, images),
        calls=1,
        steps=args.steps,
    )


if __name__ == "__main__":
    allocator.use()
    main()
