"""Rebuilds the golden cases: parameters, inputs, labels and the networks they belong to.

The rules are those by which the reference implementation's golden values were made: a parameter's
value follows from its PyTorch name, inputs and labels from a seed.
"""

import dataclasses
import functools
import json
import pathlib
import zlib

import jax.numpy as jnp
import numpy as np

from astmt_jax.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models.families import BACKBONES
from astmt_jax.models.network import Network
from astmt_jax.models.resnet import RESNET
from astmt_jax.tasks import losses
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task, channels_by_name

GOLDEN = pathlib.Path(__file__).parent / "golden"
# Tasks of each dataset in the reference's order, with the channels of their outputs.
DATASETS = {
    "pascal": {"edge": 1, "semseg": 21, "human_parts": 7, "normals": 3, "sal": 1},
    "nyud": {"edge": 1, "semseg": 41, "normals": 3, "depth": 1},
    "fsv": {"semseg": 3, "albedo": 3, "depth": 1},
}
EDGE_WEIGHT = {"pascal": 0.95, "nyud": 0.8}


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


def task_record(name: str, channels: int, edge_weight: float | None = None) -> Task:
    """Our record of a task with the reference's loss; only edges have an `edge_weight`."""
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
    """One golden file, with the network that its parameter names describe.

    Args:
      path: of the .json file.
      dtype: in which the network computes.
    """

    def __init__(self, path: pathlib.Path, dtype: str):
        self.values = json.loads(path.read_text())
        shapes = {name: tuple(shape) for name, shape in self.values["params"].items()}
        self.tensors = {name: parameter(name, shape) for name, shape in shapes.items()}
        dataset = self.values["dataset"]
        edge_weight = self.values.get("edge_w", EDGE_WEIGHT.get(dataset))
        self.tasks = tuple(
            task_record(name, channels, edge_weight)
            for name, channels in DATASETS[dataset].items()
            if _has_head(shapes, name)
        )
        output_stride = 8 if "_os8" in path.stem else 16
        self.network = Network(
            model_config(shapes, output_stride, dtype),
            channels_by_name(self.tasks),
            discriminator_config(shapes),
        )
        # What is computed in bfloat16 keeps its variables, data and losses in float32.
        self.dtype = jnp.promote_types(dtype, jnp.float32)

    def data(self, seed: int):
        """Images and the labels of the case's tasks, in the dtype of its variables."""
        values = self.values
        channels = DATASETS[values["dataset"]]
        images, labels = data(seed, values["batch"], values["size"], channels)
        return images.astype(self.dtype), {
            name: labels[name].astype(self.dtype) for name in self.network.names
        }


def _has_head(shapes: dict, name: str) -> bool:
    return any(f"decoder.{layer}.{name}.bias" in shapes for layer in ("conv_predict", "predict"))


def model_config(shapes: dict, output_stride: int, dtype: str) -> ModelConfig:
    """The architecture that the parameter names and shapes describe."""
    encoder = _mobilenet(shapes) if "features.0.conv.0.weight" in shapes else _resnet(shapes)
    decoder = _deeplab(shapes) if "decoder.conv_process.process.0.weight" in shapes else _uber()
    return ModelConfig(output_stride=output_stride, dtype=dtype, **encoder, **decoder)


def _resnet(shapes: dict) -> dict:
    blocks = tuple(
        1 + max(int(name.split(".")[1]) for name in shapes if name.startswith(f"layer{stage}."))
        for stage in (1, 2, 3, 4)
    )
    return {
        "backbone": next(
            name
            for name, backbone in BACKBONES.items()
            if backbone.family is RESNET and backbone.blocks == blocks
        ),
        # The reference's batch norms are frozen where tasks share them.
        "encoder_norm": "frozen" if "layer1.0.bn1.weight" in shapes else "per_task",
        "encoder_se": "shared" if "layer1.0.se.fc.0.weight" in shapes else "per_task",
        "encoder_adapters": any(name.startswith("layer1.0.adapt.") for name in shapes),
    }


def _mobilenet(shapes: dict) -> dict:
    return {
        "backbone": "mobilenetv2",
        "encoder_norm": "shared" if "features.1.conv.bn1.weight" in shapes else "per_task",
        "encoder_se": "shared" if "features.1.se.fc.0.weight" in shapes else "per_task",
        "encoder_adapters": False,
    }


def _deeplab(shapes: dict) -> dict:
    return {
        "decoder_width": shapes["decoder.conv_process.process.0.weight"][0],
        "decoder_norm": "shared" if "decoder.conv_process.norm.weight" in shapes else "per_task",
        "decoder_se": any(name.startswith("decoder.conv_process.se.") for name in shapes),
        "decoder_adapters": any(name.startswith("decoder.conv_process.adapt.") for name in shapes),
    }


def _uber() -> dict:
    return {"decoder": "uber", "decoder_adapters": False}


def discriminator_config(shapes: dict) -> DiscriminatorConfig | None:
    """The discriminator that the parameter names describe, if any."""
    first = shapes.get("discriminator.model.0.weight")
    if first is None:
        return None
    # The reference's layers are 0: convolution, and for depth 2 then 1: ReLU, 2: convolution.
    depth = 2 if "discriminator.model.2.weight" in shapes else 1
    return DiscriminatorConfig(depth=depth, kernel=first[-1])
