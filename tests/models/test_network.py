"""The network: size, initial values, what each task owns, and running all tasks at once."""

import itertools
import re
from collections import Counter
from functools import partial

import golden_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_network
from flax import nnx
from jax import lax
from networks import (
    MOBILENET,
    NYUD,
    PASCAL,
    SHARED,
    SMALL,
    SMALL_LITE,
    SMALL_MOBILENET,
    network_of,
    on_device,
    random_variables,
    shapes_of,
)
from tiny_network import CHANNELS, PAIR, random_batch, tiny_step

from astmt_jax.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models import families, layers, normalization, window
from astmt_jax.models.network import Trunk
from astmt_jax.models.resnet import Bottleneck
from astmt_jax.models.variables import one_task, parameter_count


def names_in(tree):
    """Paths of the leaves, such as 'encoder.stages.0.0.norm1.scale'."""
    paths = [path for path, _ in jax.tree.leaves_with_path(tree)]
    return {".".join(str(part.key) for part in path) for path in paths}


def test_parameter_count_of_resnet26_pascal():
    network = network_of(PASCAL, DiscriminatorConfig(kernel=1), backbone="resnet26")
    assert parameter_count(shapes_of(network)[0]) == 31_279_377


def test_parameter_count_of_resnet50_nyud():
    network = network_of(NYUD, DiscriminatorConfig(kernel=3), backbone="resnet50")
    assert parameter_count(shapes_of(network)[0]) == 45_018_606


def test_parameter_count_of_mobilenet_pascal():
    network = network_of(PASCAL, **MOBILENET)
    assert parameter_count(shapes_of(network)[0]) == 2_639_948


def test_parameters_that_a_task_owns_in_efficientnet_lite():
    """Adapters map every block's input to its output; SE has a quarter of the output's units."""
    widths = (32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
    expected = Counter()
    for inputs, outputs in itertools.pairwise(widths):
        expected["adapter"] += inputs * outputs
        expected["se"] += 2 * outputs * (outputs // 4) + outputs + outputs // 4
        normalized = [inputs] if outputs == 16 else [6 * inputs] * 2
        expected["norm"] += 2 * sum([*normalized, outputs])
    network = network_of(PASCAL, backbone="efficientnet_lite0")
    found = Counter()
    for path, leaf in jax.tree.leaves_with_path(shapes_of(network)[0].task["encoder"]):
        found[re.search("adapter|norm|se(?=')", jax.tree_util.keystr(path))[0]] += leaf.size // 5
    assert found == expected
    assert expected["adapter"] == 247_616


def images_of(size, dtype):
    return on_device(np.random.default_rng(1).standard_normal((2, size, size, 3)), dtype)


@pytest.fixture(scope="module")
def all_at_once():
    """A network of three tasks in float64, and its variables."""
    with jax.enable_x64(True):
        network = network_of({"semseg": 4, "normals": 3, "edge": 1}, dtype="float64", **SMALL)
        yield network, random_variables(network)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_all_tasks_at_once_equal_single_runs(all_at_once, train):
    """Features and the statistics that each task's own run leaves."""
    network, (params, stats) = all_at_once
    with jax.enable_x64(True):
        images = images_of(32, jnp.float64)
        run = lambda method: jax.jit(  # noqa: E731
            lambda params, stats: method(params, stats, images, train=train)
        )
        features, new_stats = jax.tree.map(np.asarray, run(network.features)(params, stats))
        alone, of_task = run(network.task_features), jax.jit(one_task)
        for index in map(np.int32, range(3)):
            views = of_task(params, index), of_task(stats, index)
            expected, expected_stats = jax.tree.map(np.asarray, alone(*views))
            tight = {"rtol": 1e-9, "atol": 1e-9 * np.abs(expected).max()}
            np.testing.assert_allclose(features[index], expected, **tight)
            found = jax.tree.map(lambda x: x[index], (new_stats.task, new_stats.shared))  # noqa: B023
            close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)  # noqa: E731
            jax.tree.map(close, found, (expected_stats.task, expected_stats.shared))
        assert np.abs(features[0] - features[1]).max() > 0.01 * np.abs(features[0]).max()
        unchanged = jax.tree.map(lambda a, b: np.array_equal(a, b), new_stats.task, stats.task)
        assert all(jax.tree.leaves(unchanged)) == (not train)
        assert any(jax.tree.leaves(unchanged)) == (not train)


def test_logits_take_the_right_slice_and_head():
    network = tiny_step().network
    params, stats = random_variables(network)
    images = images_of(32, jnp.float32)
    logits = jax.jit(network.all_logits)(params, stats, images)
    assert {name: value.shape for name, value in logits.items()} == {
        name: (2, 32, 32, count) for name, count in CHANNELS.items()
    }
    found = jax.jit(network.task_logits, static_argnums=3)(params, stats, images, "normals")
    np.testing.assert_allclose(found, logits["normals"], rtol=1e-5, atol=1e-5)


def flops_of(channels, **model):
    """Of one prediction of all tasks."""
    network = network_of(channels, backbone="resnet14", **model)
    images = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
    lowered = jax.jit(network.all_logits).lower(*shapes_of(network), images)
    return lowered.cost_analysis()["flops"]


def test_plain_multi_task_runs_the_trunk_once():
    """Five tasks cost little more than one where all is shared, and much more where it is not."""
    one = {"semseg": 21}
    assert flops_of(PASCAL, **SHARED) < 1.3 * flops_of(one, **SHARED)
    assert flops_of(PASCAL) > 3 * flops_of(one)


def test_what_does_not_depend_on_the_task_is_computed_once():
    """The stem and the first two convolutions after it, before any task's own batch norm."""
    stem = 2 * 64**2 * 7**2 * 3 * 64  # operations on an image of 128 x 128
    first = 2 * 32**2 * 64 * (64 + 256)
    one, five = flops_of({"semseg": 21}), flops_of(dict.fromkeys(PASCAL, 21))
    assert five <= 5 * one - 4 * (stem + first)
    assert stem + first > 0.05 * one


def group_counts(tasks):
    """Groups of all convolutions in a small MobileNet's gradient program for TPUs."""
    network = network_of(tasks, DiscriminatorConfig(), **SMALL_MOBILENET)
    step = tiny_network.step_of(
        network, tuple(golden_cases.task_record(name, n, 0.95) for name, n in tasks.items())
    )
    state = jax.eval_shape(step.init, jax.random.key(0))
    batch = jax.eval_shape(lambda: random_batch(step))
    traced = jax.jit(step.objective.joint_gradients).trace(
        state.params, state.stats, batch, jnp.float32(1)
    )
    lowered = traced.lower(lowering_platforms=("tpu",))
    counts = re.findall(r"(?:feature|batch)_group_count = (\d+)", lowered.as_text())
    return Counter(int(count) for count in counts)


def test_tasks_do_not_multiply_groups_of_convolutions():
    """Depthwise convolutions see the tasks as more images, not as more groups."""
    one, three = group_counts({"edge": 1, "semseg": 1}), group_counts(dict.fromkeys(CHANNELS, 3))
    assert max(one) == 6 * 96 // 4  # after that stage, 2 x 2 pixels leave nothing but matrices
    assert set(three) == set(one)
    assert sum(three.values()) == pytest.approx(sum(one.values()), rel=0.05)


def test_plain_multi_task_has_equal_features():
    """Every task sees the features of the same network with one task."""
    several, one = (
        tiny_step(tasks=names, **tiny_network.SHARED).network for names in (PAIR, {"semseg": 5})
    )
    params, stats = random_variables(several)
    assert not params.task
    assert not stats.task
    images = images_of(32, jnp.float32)
    features, expected = (
        jax.jit(partial(network.features, train=False))(params, stats, images)[0]
        for network in (several, one)
    )
    assert features.shape == (2, 2, 8, 8, 32)
    assert features.std() > 0.01
    np.testing.assert_array_equal(features[0], features[1])
    np.testing.assert_allclose(features[0], expected[0], rtol=1e-5, atol=1e-5)


ENCODER_ADAPTERS = {f"encoder.stages.{stage}.0.adapter.kernel" for stage in range(4)}
DECODER_ADAPTERS = {
    f"decoder.{unit}.adapter.kernel"
    for unit in (
        *(f"pyramid.branches.{branch}" for branch in range(4)),
        "pyramid.project",
        "reduce_low",
        "fuse",
        "refine",
    )
}
DECODER_SE = {
    f"decoder.{unit}.se.{layer}_{kind}"
    for unit in (
        *(f"pyramid.branches.{branch}" for branch in range(4)),
        "pyramid.pooled",
        "pyramid.project",
        "reduce_low",
        "fuse",
        "refine",
    )
    for layer in ("reduce", "expand")
    for kind in ("kernel", "bias")
}


def test_switches_change_only_their_own_variables():
    """What each one moves from shared to per-task, or adds, by name, is all that changes."""
    base_params, base_stats = shapes_of(network_of(PASCAL, **SMALL, **SHARED))
    shared, shared_stats = names_in(base_params.shared), names_in(base_stats.shared)
    assert not names_in(base_params.task)

    def belongs(name, part, layer):
        return name.startswith(f"{part}.") and f".{layer}" in name and "stem" not in name

    def of(names, part, layer):
        return {name for name in names if belongs(name, part, layer)}

    expected = {
        ("encoder_norm", "per_task"): of(shared, "encoder", "norm"),
        ("encoder_se", "per_task"): of(shared, "encoder", "se."),
        ("encoder_adapters", True): ENCODER_ADAPTERS,
        ("decoder_adapters", True): DECODER_ADAPTERS,
        ("decoder_norm", "per_task"): of(shared, "decoder", "norm"),
        ("decoder_se", True): DECODER_SE,
    }
    # 4 bottlenecks have 3 norms and a shortcut's; the decoder has 9.
    sizes = [len(names) for names in expected.values()]
    assert sizes == [4 * 4 * 2, 4 * 4, 4, 8, 9 * 2, 9 * 4]
    for (switch, value), owned in expected.items():
        params, stats = shapes_of(network_of(PASCAL, **SMALL, **SHARED | {switch: value}))
        assert names_in(params.task) == owned, switch
        assert all(leaf.shape[0] == len(PASCAL) for leaf in jax.tree.leaves(params.task))
        assert names_in(params.shared) == shared - owned, switch
        part = switch.split("_")[0]
        moved = of(shared_stats, part, "norm") if switch.endswith("norm") else set()
        assert names_in(stats.task) == moved, switch
        assert names_in(stats.shared) == shared_stats - moved, switch
        assert not names_in(stats.frozen)


def test_frozen_norm_is_not_trained():
    """Scales and biases of the encoder, the stem's too, are no parameters; statistics still are."""
    base_params, base_stats = shapes_of(network_of(PASCAL, **SMALL, **SHARED))
    network = network_of(PASCAL, **SMALL, **SHARED | {"encoder_norm": "frozen"})
    params, stats = shapes_of(network)
    frozen = {name for name in names_in(base_params.shared) if "encoder." in name if "norm" in name}
    assert len(frozen) == (1 + 4 * 4) * 2
    assert names_in(stats.frozen) == frozen
    assert names_in(params.shared) == names_in(base_params.shared) - frozen
    assert names_in(stats.shared) == names_in(base_stats.shared)
    assert not names_in(params.task)


@pytest.fixture(scope="module")
def initial():
    """Initial variables of two tasks by name, numpy arrays."""
    network = network_of(
        {"semseg": 21, "normals": 3}, DiscriminatorConfig(), **SMALL | {"width_multiplier": 0.25}
    )
    params, stats = jax.jit(network.init)(jax.random.key(0))
    trees = {
        "shared": params.shared,
        "task": params.task,
        "heads": params.heads,
        "discriminator": params.discriminator,
        "stats": stats.task,
        "shared_stats": stats.shared,
    }
    return {
        kind: {
            ".".join(str(part.key) for part in path): np.asarray(leaf)
            for path, leaf in jax.tree.leaves_with_path(tree)
        }
        for kind, tree in trees.items()
    }


def assert_standard_normal(parts):
    """Mean 0 and deviation 1, within 5 standard errors."""
    values = np.concatenate([np.ravel(part) for part in parts])
    assert values.size > 1000
    assert abs(values.mean()) < 5 / values.size**0.5
    assert abs(values.std() - 1) < 5 / (2 * values.size) ** 0.5


def test_initial_convolutions(initial):
    """N(0, 0.01), independent of each other."""
    kernels = [value for name, value in initial["shared"].items() if value.ndim == 4]
    assert len(kernels) == 1 + 4 * 4 + 9
    for part in (kernels, kernels[:1], kernels[-1:]):
        assert_standard_normal([kernel / 0.01 for kernel in part])
    for kind in ("heads", "discriminator"):
        kernels = [value for value in initial[kind].values() if value.ndim == 4]
        assert_standard_normal([np.concatenate([k.ravel() for k in kernels]) / 0.01] * 2)
        assert all((value == 0).all() for value in initial[kind].values() if value.ndim == 1)


def test_initial_convolutions_by_fan_in():
    """'kaiming': N(0, sqrt(2 / fan-in)), kernel by kernel."""
    network = network_of(
        {"semseg": 21}, **SMALL | {"width_multiplier": 0.25, "conv_init": "kaiming"}
    )
    params, _ = jax.jit(network.init)(jax.random.key(0))
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(params.shared) if leaf.ndim == 4]
    assert_standard_normal([k * (k.shape[0] * k.shape[1] * k.shape[2] / 2) ** 0.5 for k in kernels])
    for kernel in kernels:
        if kernel.size > 1000:
            fan_in = np.prod(kernel.shape[:3])
            assert_standard_normal([kernel * (fan_in / 2) ** 0.5])
    head = np.asarray(params.heads["semseg"]["kernel"])
    assert abs(head.std() * (head.shape[2] / 2) ** 0.5 - 1) < 5 / (2 * head.size) ** 0.5


def test_initial_weights_of_mobilenet():
    """'kaiming_fan_out': N(0, sqrt(2 / (k * k * outputs))), and N(0, 0.01) for linear layers."""
    network = network_of({"semseg": 21}, conv_init="kaiming_fan_out", **SMALL_MOBILENET)
    params, _ = jax.jit(network.init)(jax.random.key(0))
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(params.shared) if leaf.ndim == 4]
    scaled = [k * (k.shape[0] * k.shape[1] * k.shape[3] / 2) ** 0.5 for k in kernels]
    assert_standard_normal(scaled)
    for kernel in scaled:
        if kernel.size > 1000:
            assert_standard_normal([kernel])
    linear = [leaf for leaf in jax.tree.leaves(params.task) if leaf.ndim == 3]
    assert len(linear) == 2 * (17 + 8)
    assert_standard_normal([leaf / 0.01 for leaf in linear])


def test_initial_squeeze_and_excitation(initial):
    """Kaiming-normal by the fan-in, different for each task; biases 0."""
    kernels = {n: v for n, v in initial["task"].items() if ".se." in n and n.endswith("kernel")}
    assert len(kernels) == 2 * (4 + 9)
    assert_standard_normal([value * (value.shape[1] / 2) ** 0.5 for value in kernels.values()])
    for name, value in kernels.items():
        assert (value[0] != value[1]).all(), name
    biases = [v for n, v in initial["task"].items() if ".se." in n and n.endswith("bias")]
    assert len(biases) == len(kernels)
    assert all((value == 0).all() for value in biases)


def test_initial_adapters_and_norms(initial):
    """Adapters add nothing at first; norms start as in PyTorch, the statistics, too."""
    adapters = [value for name, value in initial["task"].items() if "adapter" in name]
    assert len(adapters) == 4 + 8
    assert all((value == 0).all() for value in adapters)
    start = {"scale": 1, "bias": 0, "mean": 0, "var": 1}
    norms = {
        name: value
        for kind in ("shared", "task", "stats", "shared_stats")
        for name, value in initial[kind].items()
        if "norm" in name
    }
    assert len(norms) == 4 * (1 + 4 * 4 + 9)
    for name, value in norms.items():
        assert (value == start[name.rsplit(".", 1)[1]]).all(), name


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(("size", "quarter"), [((64, 96), (16, 24)), ((48, 80), (12, 20))])
@pytest.mark.parametrize(
    ("model", "channels"),
    [
        (SMALL, (16, 128)),
        (SMALL | {"stride_in": "conv2"}, (16, 128)),
        (SMALL | {"decoder": "uber"}, (16, 128)),
        (SMALL_MOBILENET, (6, 80)),
        (SMALL_LITE, (6, 80)),
    ],
    ids=["resnet", "stride_in_conv2", "uber", "mobilenet", "lite"],
)
def test_output_sizes(output_stride, size, quarter, model, channels):
    """Low-level features at stride 4, high-level ones at the output stride, logits at stride 1."""
    config = ModelConfig(output_stride=output_stride, **model)
    images = jnp.zeros((2, *size, 3))
    low, high = jax.eval_shape(
        lambda: Trunk(config, families.find(config)).encoder(images, train=False)
    )
    assert low.shape == (2, *quarter, channels[0])
    assert high.shape == (2, size[0] // output_stride, size[1] // output_stride, channels[1])
    network = network_of({"semseg": 21}, output_stride=output_stride, **model)
    logits = jax.eval_shape(network.all_logits, *shapes_of(network), images)
    assert logits["semseg"].shape == (2, *size, 21)


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "stride"),
    [
        ((1, 1), 3, 6, 1),
        ((2, 9), 3, 6, 1),
        ((4, 4), 3, 4, 1),
        ((5, 5), 3, 4, 1),
        ((7, 12), 3, 6, 1),
        ((6, 13), 3, 12, 1),
        ((3, 8), 7, 1, 2),
        ((5, 4), 5, 3, 2),
        ((4, 5), 1, 1, 2),
    ],
)
@pytest.mark.parametrize("padding", window.PADDINGS)
def test_taps_that_see_only_padding_change_nothing(size, kernel, dilation, stride, padding):
    """Values and gradients of the whole dilated convolution, padded as PyTorch or XLA does."""
    random = np.random.default_rng(0)
    conv = layers.Conv(2, 3, kernel, stride=stride, dilation=dilation, padding=padding)
    x = jnp.asarray(random.standard_normal((2, *size, 2)), jnp.float32)
    weights = jnp.asarray(random.standard_normal((kernel, kernel, 2, 3)), jnp.float32)

    def whole(x, weights):
        margin = dilation * (kernel // 2)
        return lax.conv_general_dilated(
            x,
            weights,
            (stride, stride),
            "SAME" if padding == "same" else [(margin, margin)] * 2,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def evaluate(function):
        def run(x, weights):
            y, pull_back = jax.vjp(function, x, weights)
            return y, pull_back(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

        return jax.jit(run)(x, weights)

    found = evaluate(lambda x, weights: layers.convolve(x, weights, conv.window))
    expected = evaluate(whole)
    assert found[0].shape == (2, -(-size[0] // stride), -(-size[1] // stride), 3)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # noqa: E731
    jax.tree.map(close, found, expected)


def test_batch_norm_is_pytorchs():
    """Normalises with the biased variance, records the unbiased one with momentum 0.1."""
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (4, 5, 6, 2)).astype(np.float32)
    norm = normalization.BatchNorm(2, "shared")
    norm.scale[...], norm.bias[...] = jnp.array([2.0, 0.5]), jnp.array([-1.0, 1.0])
    norm.mean[...], norm.var[...] = jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0])
    running = (x - [1, 2]) / np.sqrt(np.array([3, 4]) + 1e-5) * [2, 0.5] + [-1, 1]
    np.testing.assert_allclose(norm(jnp.asarray(x), train=False), running, rtol=1e-4, atol=1e-5)
    pixels = x.reshape(-1, 2)
    batch = (x - pixels.mean(0)) / np.sqrt(pixels.var(0) + 1e-5) * [2, 0.5] + [-1, 1]
    np.testing.assert_allclose(norm(jnp.asarray(x), train=True), batch, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.9 * np.array([1, 2]) + 0.1 * pixels.mean(0), 1e-5)
    expected = 0.9 * np.array([3, 4]) + 0.1 * pixels.var(0, ddof=1)
    np.testing.assert_allclose(norm.var[...], expected, rtol=1e-5)


def bottleneck(stride_in, centre_only):
    """A bottleneck of stride 2 with random weights, evaluated on a random image."""
    config = ModelConfig(stride_in=stride_in, **SMALL)
    new = partial(Bottleneck, 6, 4, stride=2, dilation=1, project=True, config=config)
    graph, state = nnx.split(nnx.eval_shape(new))
    random = np.random.default_rng(0)
    state = jax.tree.map(lambda x: on_device(random.uniform(0.2, 1, x.shape), x.dtype), state)

    @jax.jit
    def run(state, x):
        block = nnx.merge(graph, state, copy=True)
        if centre_only:
            kernel = block.conv2.kernel[...]
            block.conv2.kernel[...] = jnp.zeros_like(kernel).at[1, 1].set(kernel[1, 1])
        return block(x, train=False)

    return np.asarray(run(state, np.float32(random.standard_normal((2, 8, 8, 6)))))


def test_where_the_stride_sits():
    """Sampling commutes with 1x1 kernels, so that it makes a difference to a real 3x3 only.

    Squeeze-and-excitation pools after the stride in both cases; the adapter has it, too.
    """
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(bottleneck("conv1", True), bottleneck("conv2", True), **close)
    first, second = bottleneck("conv1", False), bottleneck("conv2", False)
    assert first.shape == second.shape == (2, 4, 4, 16)
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3])
def test_grouped_convolution(kernel, groups):
    """Each group of outputs sees its own group of inputs."""
    random = np.random.default_rng(0)
    x = np.float32(random.standard_normal((2, 5, 6, 8)))
    weights = np.float32(random.standard_normal((kernel, kernel, 8 // groups, 12)))

    def convolved(x, weights, groups):
        conv = layers.Conv(x.shape[-1], weights.shape[-1], kernel, groups=groups)
        assert conv.kernel.shape == weights.shape
        conv.kernel[...] = weights
        return conv(x)

    @jax.jit
    def run(x, weights):
        parts = zip(jnp.split(x, groups, -1), jnp.split(weights, groups, -1), strict=True)
        expected = jnp.concatenate([convolved(*part, groups=1) for part in parts], -1)
        return convolved(x, weights, groups), expected

    np.testing.assert_allclose(*run(x, weights), rtol=1e-5, atol=1e-5)


def test_relu6_is_flat_where_it_clips():
    x = jnp.array([-1.0, 0.0, 0.5, 5.5, 6.0, 7.0])
    np.testing.assert_array_equal(layers.relu6(x), [0, 0, 0.5, 5.5, 6, 6])
    np.testing.assert_array_equal(jax.vmap(jax.grad(layers.relu6))(x), [0, 0, 1, 1, 0, 0])


def test_discriminator_needs_features_of_one_width():
    with pytest.raises(ValueError, match=r"discriminator\.weight is 0\.01.* set the weight to 0"):
        network_of(PASCAL, DiscriminatorConfig(), decoder="uber")
