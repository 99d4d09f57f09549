"""The commands of `astmt`: what each runs, and what it needs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
      module: what `python -m` runs.
      about: what it does, in a line.
      arguments: that come before those of the command line.
    """

    module: str
    about: str
    arguments: tuple[str, ...] = ()


COMMANDS = {
    "train": Command("astmt_jax.main", "train a network and score it; goes on where it stopped"),
    "eval": Command("astmt_jax.main", "score a run's newest checkpoint", ("--mode=eval",)),
    "predict": Command("astmt_jax.predict", "predict all tasks for a folder of photos"),
    "evaluate": Command("astmt_jax.evaluate", "score a folder of predictions, whoever made them"),
    "compare": Command("astmt_jax.compare", "train and compare methods, with their average drop"),
    "report": Command("astmt_jax.report", "a page about a run: scores, curves, pictures"),
    "demo": Command("astmt_jax.demo", "try a network in the browser"),
    "export": Command("astmt_jax.export", "a network for other runtimes or a model hub"),
    "convert": Command("astmt_jax.convert", "weights from and to the original's files"),
    "prepare": Command("astmt_jax.datasets.prepare", "make a dataset ready for training"),
    "show": Command("astmt_jax.datasets.show", "a sheet of a dataset's images and labels"),
    "summary": Command("astmt_jax.summary", "parameters and multiply-adds of a configuration"),
    "aot": Command("astmt_jax.aot", "compile for TPUs that are not there, and what it will cost"),
    "completion": Command("astmt_jax.commands.completion", "shell completion: bash or zsh"),
}
EXTRAS = {
    "train": (
        "array_record",
        "clu",
        "jinja2",
        "sklearn",
        "tensorboard",
        "tensorflow",
        "tensorflow_datasets",
        "threadpoolctl",
    ),
    "demo": ("gradio",),
    "litert": ("ai_edge_litert",),
    "onnx": ("onnx", "onnxruntime"),
    "tpu": ("libtpu",),
}
"""What `pip install 'astmt_jax[EXTRA]'` adds: the packages that may be missing."""
