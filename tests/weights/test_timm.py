"""timm's and torchvision's classifiers: the encoder's features are theirs, the others are named.

Golden values: timm 1.0.31 in float64, `create_model(NAME, output_stride=16)`, with weights that
`tensor` draws; every eighth channel of the outputs of layer1 and layer4.
"""

import json
import zlib
from functools import partial

import jax
import numpy as np
import pytest
from golden_cases import GOLDEN
from networks import network_of, on_device
from test_pretrained import encoder_outputs, initial_variables

from astmt_jax.weights.architectures import recognize
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.imagenet import load_encoder

SHAPES = json.loads((GOLDEN / "timm.json").read_text())
TASKS = {"normals": 3}


def tensor(name, shape):
    """The values of a tensor; small where residual branches end, as they are added up."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) > 1:
        values = np.sqrt(2 / np.prod(shape[1:])) * random.standard_normal(shape)
    elif name.endswith(("running_mean", "bias")):
        values = random.normal(0, 0.2, shape)
    else:
        ends_branch = ".bn3." in name and name.endswith("weight")
        values = random.uniform(*((0.2, 0.4) if ends_branch else (0.5, 1.5)), shape)
    return values.astype(np.float32)


def tensors_of(model):
    return {name: tensor(name, shape) for name, shape in SHAPES[model].items()}


@pytest.mark.parametrize(
    ("model", "output_stride"),
    [
        ("resnet26", 16),
        ("resnet26", 8),
        ("resnet50", 16),
        ("seresnet50", 16),
        pytest.param("resnet101", 16, marks=pytest.mark.slow),
    ],
)
def test_features_are_timms(model, output_stride):
    """Of a network that starts from the file, in float64; to 1e-5 of their deviation."""
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).transpose(0, 2, 3, 1)
    expected = np.load(GOLDEN / "timm.npz")
    with jax.enable_x64(True):
        network = network_of(
            TASKS,
            backbone=model.removeprefix("se"),
            output_stride=output_stride,
            stride_in="conv2",
            dtype="float64",
        )
        variables = load_encoder(tensors_of(model), *initial_variables(network), network)
        variables = jax.tree.map(lambda x: on_device(x, np.float64), variables)
        run = jax.jit(partial(encoder_outputs, network), static_argnums=3)
        for stage, found in zip((1, 4), run(*variables, image, 0), strict=True):
            golden = expected[f"{model}_os{output_stride}_stage{stage}"]
            assert found.shape[1:3] == golden.shape[:2]
            difference = np.abs(found[0, ..., ::8] - golden).max()
            assert difference < 1e-5 * golden.std()


def shaped(shapes):
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def resnet(stem=None, width=64, group=None, blocks=(3, 4, 6, 3), **more):
    """Names and shapes that tell one ResNet from another, as timm's have them."""
    shapes = {"conv1.weight": (64, 3, 7, 7), "bn1.running_mean": (64,)} if stem is None else stem
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            shapes |= {
                f"layer{stage}.{block}.conv1.weight": (width, 64, 1, 1),
                f"layer{stage}.{block}.conv2.weight": (width, group or width, 3, 3),
                f"layer{stage}.{block}.conv3.weight": (256, width, 1, 1),
            }
    return shaped(shapes | more)


DEEP = {"conv1.0.weight": (32, 3, 3, 3), "conv1.6.weight": (64, 32, 3, 3)}
POOLED = {"layer1.0.downsample.1.weight": (256, 64, 1, 1)}
MOBILENET = {
    "conv_stem.weight": (32, 3, 3, 3),
    "blocks.6.0.conv_pwl.weight": (320, 960, 1, 1),
} | {
    f"blocks.{stage}.{block}.conv_dw.weight": (32, 1, 3, 3)
    for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1))
    for block in range(count)
}


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("resnet50d", resnet(DEEP, **POOLED)),
        ("resnet50c", resnet(DEEP)),
        ("resnet50t", resnet(DEEP | {"conv1.0.weight": (24, 3, 3, 3)}, **POOLED)),
        ("resnet152", resnet(blocks=(3, 8, 36, 3))),
        ("wide_resnet50_2", resnet(width=128)),
        ("resnext50_32x4d", resnet(width=128, group=4)),
        ("seresnext101_32x8d", resnet(width=256, group=8, blocks=(3, 4, 23, 3),
                                      **{"layer1.0.se.fc1.weight": (16, 256, 1, 1)})),
        ("ecaresnet50d", resnet(DEEP, **POOLED, **{"layer1.0.se.conv.weight": (1, 1, 5)})),
        ("mobilenetv2_100", shaped(MOBILENET)),
        ("mobilenetv2_140", shaped(MOBILENET | {"blocks.6.0.conv_pwl.weight": (448, 1344, 1, 1)})),
        ("mobilenetv2_110d", shaped(MOBILENET | {"blocks.6.0.conv_pwl.weight": (352, 1056, 1, 1),
                                                 "blocks.1.2.conv_dw.weight": (9, 1, 3, 3)})),
        ("mobilenet_v2", shaped({"features.1.conv.0.0.weight": (32, 1, 3, 3)})),
        ("efficientnet", shaped(MOBILENET | {"blocks.0.0.se.conv_reduce.weight": (8, 32, 1, 1)})),
        ("vit", shaped({"blocks.0.attn.qkv.weight": (2304, 768)})),
    ],
)  # fmt: skip
def test_other_classifiers_are_named(name, tensors):
    """In one sentence, not in a list of their tensors."""
    assert recognize(tensors).name == name
    network = network_of(TASKS, backbone="resnet50")
    with pytest.raises(WeightsError) as caught:
        load_encoder(tensors, None, None, network)
    assert str(caught.value).startswith(f"it holds a {name}, which is no backbone")


@pytest.mark.parametrize("model", SHAPES)
def test_classifiers_of_another_backbone_are_named(model):
    tensors = shaped(SHAPES[model])
    other = "resnet14"
    with pytest.raises(WeightsError, match=f"it holds a {model}: set model.backbone to") as caught:
        load_encoder(tensors, None, None, network_of(TASKS, backbone=other))
    assert model.removeprefix("se") in str(caught.value)
    assert other in str(caught.value)
