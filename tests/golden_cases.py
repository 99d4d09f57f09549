"""Rebuilds the golden cases: parameters, inputs, labels and the networks they belong to.

The rules are those by which the reference implementation's golden values were made: a parameter's
value follows from its PyTorch name, inputs and labels from a seed.
"""

import dataclasses
import functools
import json
import pathlib
import re
import zlib

import jax.numpy as jnp
import numpy as np

from astmt_jax import losses, tasks
from astmt_jax.models.config import RESNET_BLOCKS, DiscriminatorConfig, ModelConfig
from astmt_jax.models.network import Network

TASK_ORDER = {
    "pascal": ("edge", "semseg", "human_parts", "normals", "sal"),
    "nyud": ("edge", "semseg", "normals", "depth"),
    "fsv": ("semseg", "albedo", "depth"),
}
CHANNELS = {"human_parts": 7}


def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Value of the PyTorch tensor `name`."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_mean"):
        value = 0.1 * rng.standard_normal(shape)
    elif name.endswith("running_var"):
        value = 0.5 + rng.random(shape)
    elif len(shape) == 1 and name.endswith("weight"):
        value = 0.5 + 0.5 * rng.random(shape)
    elif len(shape) == 1:
        value = 0.1 * rng.standard_normal(shape)
    else:
        value = rng.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return value.astype(np.float32)


def data(seed: int, batch: int, size: int, channels: dict[str, int]):
    """Images and labels of `channels`' tasks, in that order; NHWC float32."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((batch, size, size, 3))
    shape = (batch, size, size)

    def blocks(k, c):
        small = rng.integers(0, c, (batch, size // k, size // k))
        return np.kron(small, np.ones((1, k, k), int))[..., None]

    def class_map(name):
        value = blocks(8, channels[name])
        value[rng.random(value.shape) < 0.05] = 255
        if name == "human_parts":
            value[0] = 255
        return value

    def unit_vectors(name):
        value = rng.standard_normal((*shape, 3))
        value /= np.linalg.norm(value, axis=-1, keepdims=True)
        value[blocks(8, 3)[..., 0] == 0] = 255
        return value

    def metres(name):
        value = 1 + 9 * rng.random((*shape, 1))
        value[blocks(8, 4)[..., 0] == 0] = 255
        return value

    make = {
        "edge": lambda name: rng.random((*shape, 1)) > 0.9,
        "sal": lambda name: blocks(8, 2) > 0,
        "semseg": class_map,
        "human_parts": class_map,
        "normals": unit_vectors,
        "depth": metres,
        "albedo": lambda name: rng.random((*shape, 3)),
    }
    labels = {name: make[name](name).astype(np.float32) for name in channels}
    return images.astype(np.float32), labels


def fingerprint(name: str, tensor: np.ndarray) -> np.ndarray:
    """[L2 norm, sum with a probe that follows from the name]; `tensor` in PyTorch's layout."""
    probe = np.random.default_rng(zlib.crc32(f"probe:{name}".encode()))
    tensor = np.asarray(tensor, np.float64)
    return np.array([np.linalg.norm(tensor), np.sum(tensor * probe.standard_normal(tensor.shape))])


def task_record(name: str, channels: int, edge_weight: float) -> tasks.Task:
    """Our record of a task with the reference's loss."""
    make = {
        "edge": lambda: tasks.edge(positive_weight=edge_weight),
        "semseg": lambda: tasks.semseg(tuple(str(i) for i in range(channels))),
        "human_parts": tasks.human_parts,
        "normals": tasks.normals,
        "sal": tasks.sal,
        "depth": lambda: dataclasses.replace(
            tasks.depth(), loss=functools.partial(losses.depth_l1, mask_gradient=False)
        ),
        "albedo": tasks.albedo,
    }
    return make[name]()


class Case:
    """One golden file, with the network that its parameter names describe."""

    def __init__(self, path: pathlib.Path, dtype: str):
        self.values = json.loads(path.read_text())
        shapes = {name: tuple(shape) for name, shape in self.values["params"].items()}
        self.tensors = {name: parameter(name, shape) for name, shape in shapes.items()}
        dataset = self.values["dataset"]
        edge_weight = self.values.get("edge_w", {"pascal": 0.95}.get(dataset, 0.8))
        heads = {name: _head_channels(shapes, name) for name in TASK_ORDER[dataset]}
        self.channels = {name: channels for name, channels in heads.items() if channels}
        records = tuple(
            task_record(name, channels, edge_weight) for name, channels in self.channels.items()
        )
        output_stride = 8 if "_os8" in path.stem else 16
        self.network = Network(
            model_config(shapes, output_stride, dtype), records, discriminator_config(shapes)
        )
        self.dtype = jnp.dtype(dtype)

    def data(self, seed: int):
        """Images and labels of the case in its dtype."""
        images, labels = data(seed, self.values["batch"], self.values["size"], self.channels)
        return images.astype(self.dtype), {k: v.astype(self.dtype) for k, v in labels.items()}


def _head_channels(shapes: dict, name: str) -> int:
    return shapes.get(f"decoder.conv_predict.{name}.bias", (0,))[0]


def model_config(shapes: dict, output_stride: int, dtype: str) -> ModelConfig:
    """The architecture that the parameter names and shapes describe."""
    names = "\n".join(shapes)
    blocks = tuple(
        1 + max(int(n) for n in re.findall(rf"^layer{i}\.(\d+)\.", names, re.MULTILINE))
        for i in (1, 2, 3, 4)
    )
    backbone = {v: k for k, v in RESNET_BLOCKS.items()}[blocks]
    return ModelConfig(
        backbone=backbone,
        output_stride=output_stride,
        decoder_width=shapes["decoder.conv_process.process.0.weight"][0],
        encoder_norm="shared" if "layer1.0.bn1.weight" in shapes else "per_task",
        encoder_se="shared" if "layer1.0.se.fc.0.weight" in shapes else "per_task",
        adapters="layer1.0.adapt." in names,
        decoder_norm="shared" if "decoder.conv_process.norm.weight" in shapes else "per_task",
        decoder_se="decoder.conv_process.se." in names,
        dtype=dtype,
    )


def discriminator_config(shapes: dict) -> DiscriminatorConfig | None:
    """The discriminator that the parameter names describe, if any."""
    first = shapes.get("discriminator.model.0.weight")
    if first is None:
        return None
    depth = 2 if "discriminator.model.2.weight" in shapes else 1
    return DiscriminatorConfig(depth=depth, kernel=first[-1])
