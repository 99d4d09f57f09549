"""Where the convolutions and adapters of inverted residuals look, and how stages are dilated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import network_of, random_variables

from astmt_jax.models import efficientnet_lite, layers, mobilenet
from astmt_jax.models.variables import one_task
from astmt_jax.models.window import PADDINGS


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(8, 7), (1, 2), (5, 12)])
@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (5, 1, 2), (3, 2, 2)]
)
def test_adapters_see_the_pixels_on_which_kernels_are_centred(
    padding, size, taps, stride, dilation
):
    """A kernel whose middle tap alone is 1 copies them."""
    settings = {"stride": stride, "dilation": dilation, "padding": padding}
    conv = layers.Conv(1, 1, taps, **settings)
    kernel = np.zeros((taps, taps, 1, 1), np.float32)
    kernel[taps // 2, taps // 2] = 1
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, *size, 1)), jnp.float32)
    copied = layers.convolve(x, jnp.asarray(kernel), conv.window)
    np.testing.assert_array_equal(conv.centres(x), copied)


@pytest.mark.parametrize(
    ("architecture", "output_stride", "strides", "first", "others"),
    [
        (mobilenet, 16, (1, 2, 2, 2, 1, 1, 1), (1, 1, 1, 1, 1, 2, 2), (1, 1, 1, 1, 1, 2, 2)),
        (mobilenet, 8, (1, 2, 2, 1, 1, 1, 1), (1, 1, 1, 2, 2, 4, 4), (1, 1, 1, 2, 2, 4, 4)),
        (
            efficientnet_lite,
            16,
            (1, 2, 2, 2, 1, 1, 1),
            (1, 1, 1, 1, 1, 1, 2),
            (1, 1, 1, 1, 1, 2, 2),
        ),
        (efficientnet_lite, 8, (1, 2, 2, 1, 1, 1, 1), (1, 1, 1, 1, 2, 2, 4), (1, 1, 1, 2, 2, 4, 4)),
    ],
    ids=["mobilenet16", "mobilenet8", "lite16", "lite8"],
)
def test_strides_become_dilations(architecture, output_stride, strides, first, others):
    """Stride and dilation of the first block of every stage, and dilation of its second."""
    blocks = list(architecture.ARCHITECTURE.blocks((2,) * 7, output_stride))
    assert [(stride, dilation) for _, stride, dilation in blocks[::2]] == list(
        zip(strides, first, strict=True)
    )
    assert [(stride, dilation) for _, stride, dilation in blocks[1::2]] == [(1, d) for d in others]


def test_dilated_features_hold_the_strided_ones():
    """EfficientNet-Lite with adapters: every other pixel at stride 8 is one at stride 16."""
    found = {}
    for stride in (8, 16):
        model = {"width_multiplier": 0.25, "decoder_width": 32, "output_stride": stride}
        network = network_of({"edge": 1}, backbone="efficientnet_lite0", **model)
        params, stats = random_variables(network)
        # A gate depends on the mean over all pixels: 1/2 for all.
        for block in params.task["encoder"]["blocks"].values():
            block["se"] = jax.tree.map(jnp.zeros_like, block["se"])
        images = np.random.default_rng(1).standard_normal((1, 64, 96, 3)).astype(np.float32)
        trunk = network.trunk(one_task(params, 0), one_task(stats, 0))
        run = jax.jit(lambda x, encoder=trunk.encoder: encoder(x, train=False)[1])
        found[stride] = np.asarray(run(images))
    expected = found[16]
    np.testing.assert_allclose(found[8][:, 1::2, 1::2], expected, atol=1e-5 * expected.std())
