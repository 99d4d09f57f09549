"""ImageNet classifiers as initial values: the encoder computes what the classifier does.

The classifiers are computed here by an independent implementation, in PyTorch's layout and from
PyTorch's names.
"""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from networks import network_of, on_device, random_variables
from settings import load, settings

from astmt_jax.config import from_config_dict
from astmt_jax.models.variables import one_task
from astmt_jax.training import loop
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import as_begun, check_workdir, claim_workdir, recorded_config
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.files import write_tensors
from astmt_jax.weights.imagenet import load_encoder, settled
from astmt_jax.weights.original import to_torch

BLOCKS = (1, 1, 1, 1)
PLANES = (4, 8, 16, 32)
STRIDES = (1, 2, 2, 1)
DILATIONS = (1, 1, 1, 2)
SMALL = {"backbone": "resnet14", "width_multiplier": 0.0625, "decoder_width": 32}
TASKS = {"semseg": 5, "normals": 3}


def classifier(se, seed=0):
    """Random weights of a classifier; `se` names its layers: 'reference', 'timm' or None."""
    random = np.random.default_rng(seed)
    tensors = {}

    def conv(name, *shape):
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{name}.weight"] = deviation * random.standard_normal(shape)

    def norm(name, channels):
        tensors[f"{name}.weight"] = random.uniform(0.5, 1.5, channels)
        tensors[f"{name}.bias"] = random.normal(0, 0.2, channels)
        tensors[f"{name}.running_mean"] = random.normal(0, 0.2, channels)
        tensors[f"{name}.running_var"] = random.uniform(0.5, 1.5, channels)
        tensors[f"{name}.num_batches_tracked"] = np.array(9)

    conv("conv1", PLANES[0], 3, 7, 7)
    norm("bn1", PLANES[0])
    channels = PLANES[0]
    for stage, (blocks, planes) in enumerate(zip(BLOCKS, PLANES, strict=True), 1):
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            conv(f"{prefix}.conv1", planes, channels, 1, 1)
            norm(f"{prefix}.bn1", planes)
            conv(f"{prefix}.conv2", planes, planes, 3, 3)
            norm(f"{prefix}.bn2", planes)
            conv(f"{prefix}.conv3", 4 * planes, planes, 1, 1)
            norm(f"{prefix}.bn3", 4 * planes)
            if block == 0:
                conv(f"{prefix}.downsample.0", 4 * planes, channels, 1, 1)
                norm(f"{prefix}.downsample.1", 4 * planes)
            channels = 4 * planes
            for index, (outputs, inputs) in enumerate(
                [(channels // 16, channels), (channels, channels // 16)] if se else []
            ):
                name = (
                    f"{prefix}.se.fc{index + 1}" if se == "timm" else f"{prefix}.se.fc.{2 * index}"
                )
                conv(name, outputs, inputs, *((1, 1) if se == "timm" else ()))
                tensors[f"{name}.bias"] = random.normal(0, 0.5, outputs)
    conv("fc", 10, channels)
    tensors["fc.bias"] = np.zeros(10)
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


def features(tensors, images, stride_in="conv1"):
    """Outputs of the first and the last stage, NHWC, in float64."""
    weights = {name: jnp.asarray(value, jnp.float64) for name, value in tensors.items()}

    def conv(x, name, stride=1, dilation=1):
        kernel = weights[f"{name}.weight"]
        pad = dilation * (kernel.shape[-1] // 2)
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), [(pad, pad)] * 2, rhs_dilation=(dilation, dilation)
        )

    def norm(x, name):
        weight, bias, mean, var = (
            weights[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return weight * (x - mean) / jnp.sqrt(var + 1e-5) + bias

    def linear(x, name):
        weight = weights[f"{name}.weight"]
        return x @ weight.reshape(weight.shape[:2]).T + weights[f"{name}.bias"]

    def gate(x, prefix):
        by_timm = f"{prefix}.se.fc1.bias" in weights
        first, second = ("fc1", "fc2") if by_timm else ("fc.0", "fc.2")
        if f"{prefix}.se.{first}.bias" not in weights:
            return 1.0
        hidden = jnp.maximum(linear(x.mean((2, 3)), f"{prefix}.se.{first}"), 0)
        return (1 / (1 + jnp.exp(-linear(hidden, f"{prefix}.se.{second}"))))[:, :, None, None]

    x = jnp.maximum(norm(conv(images.transpose(0, 3, 1, 2), "conv1", 2), "bn1"), 0)
    x = lax.reduce_window(
        x, -np.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), [(0, 0), (0, 0), (1, 1), (1, 1)]
    )
    outputs = []
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            prefix = f"layer{stage + 1}.{block}"
            stride = STRIDES[stage] if block == 0 else 1
            first, second = (stride, 1) if stride_in == "conv1" else (1, stride)
            entry = stage - (stride_in == "conv2" and block == 0 and stage > 0)
            y = jnp.maximum(norm(conv(x, f"{prefix}.conv1", first), f"{prefix}.bn1"), 0)
            y = norm(conv(y, f"{prefix}.conv2", second, DILATIONS[entry]), f"{prefix}.bn2")
            y = norm(conv(jnp.maximum(y, 0), f"{prefix}.conv3"), f"{prefix}.bn3")
            y = y * gate(y, prefix)
            if block == 0:
                x = norm(conv(x, f"{prefix}.downsample.0", stride), f"{prefix}.downsample.1")
            x = jnp.maximum(x + y, 0)
        outputs.append(x.transpose(0, 2, 3, 1))
    return outputs[0], outputs[-1]


def initial_variables(network):
    """Random values, but adapters of 0, as they are before training."""

    def start(path, value):
        return (
            on_device(np.zeros(value.shape), value.dtype)
            if "adapter" in jax.tree_util.keystr(path)
            else value
        )

    return jax.tree.map_with_path(start, random_variables(network))


def encoder_outputs(network, params, stats, images, task):
    params, stats = one_task(params, task), one_task(stats, task)
    trunk = nnx.merge(
        network._trunk_graph, params.task, stats.task, stats.frozen, params.shared, stats.shared
    )
    return trunk.encoder(images, train=False)


@pytest.mark.parametrize("se", ["reference", "timm", None])
@pytest.mark.parametrize(
    "model",
    [
        {"stride_in": "conv2"},
        {
            "stride_in": "conv1",
            "encoder_norm": "frozen",
            "encoder_se": "shared",
            "encoder_adapters": False,
            "decoder_adapters": False,
        },
    ],
    ids=["per_task", "frozen"],
)
def test_encoder_computes_what_the_classifier_does(se, model):
    """For every task, in float64; weights are copied in float32."""
    images = np.random.default_rng(1).standard_normal((2, 64, 64, 3))
    tensors = classifier(se)
    with jax.enable_x64(True):
        network = network_of(TASKS, dtype="float64", **SMALL, **model)
        variables = load_encoder(tensors, *initial_variables(network), network)
        variables = jax.tree.map(lambda x: on_device(x, np.float64), variables)
        reference = partial(features, stride_in=network.config.stride_in)
        expected = jax.jit(reference)(tensors, images)
        run = jax.jit(partial(encoder_outputs, network))
        for task in range(len(TASKS)):
            found = run(*variables, images, task)
            for a, b in zip(found, expected, strict=True):
                assert np.abs(b).max() > 0.1
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_every_task_gets_the_copy_and_nothing_else_changes():
    network = network_of(TASKS, **SMALL)
    before = initial_variables(network)
    tensors = classifier("reference")
    loaded = to_torch(*load_encoder(tensors, *before, network), network)
    initial = to_torch(*before, network)
    for task in TASKS:
        for part in ("weight", "bias", "running_mean", "running_var"):
            expected = tensors[f"layer2.0.bn1.{part}"]
            np.testing.assert_array_equal(loaded[f"layer2.0.bn1.{task}.{part}"], expected)
            expected = tensors[f"layer1.0.downsample.1.{part}"]
            np.testing.assert_array_equal(
                loaded[f"layer1.0.downsample.norm.{task}.{part}"], expected
            )
        expected = tensors["layer3.0.se.fc.2.weight"]
        np.testing.assert_array_equal(loaded[f"layer3.0.se.fc.{task}.2.weight"], expected)
    np.testing.assert_array_equal(loaded["conv1.weight"], tensors["conv1.weight"])
    untouched = [name for name in initial if name.startswith("decoder.") or ".adapt." in name]
    assert len(untouched) > 50
    for name in untouched:
        np.testing.assert_array_equal(loaded[name], initial[name])


def mobilenet_classifier():
    """Random weights by the names of the reference implementation's SE-MobileNet-v2 classifier."""
    random = np.random.default_rng(0)
    tensors = {}

    def conv_norm(conv, norm, *shape):
        tensors[f"{conv}.weight"] = random.standard_normal(shape)
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = random.uniform(0.5, 1.5, shape[0])

    conv_norm("features.0.0", "features.0.1", 32, 3, 3, 3)
    inputs, index = 32, 0
    for expansion, outputs, repeats in (
        (1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1),
    ):  # fmt: skip
        for _ in range(repeats):
            index += 1
            layers = [(expansion * inputs, 1, 3, 3), (outputs, expansion * inputs, 1, 1)]
            if expansion > 1:
                layers.insert(0, (expansion * inputs, inputs, 1, 1))
            for number, shape in enumerate(layers):  # each is followed by norm and activation
                prefix = f"features.{index}.conv"
                conv_norm(f"{prefix}.{3 * number}", f"{prefix}.{3 * number + 1}", *shape)
            for layer, shape in ((0, (outputs // 4, outputs)), (2, (outputs, outputs // 4))):
                name = f"features.{index}.se.fc.{layer}"
                tensors[f"{name}.weight"] = random.standard_normal(shape)
                tensors[f"{name}.bias"] = random.standard_normal(shape[0])
            inputs = outputs
    conv_norm("features.18.0", "features.18.1", 1280, 320, 1, 1)
    tensors |= {"classifier.1.weight": np.ones((1000, 1280)), "classifier.1.bias": np.ones(1000)}
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


def test_mobilenet():
    """Every tensor of the features is used; layers land in the place of their kind."""
    network = network_of(
        TASKS, backbone="mobilenetv2", encoder_adapters=False, decoder_adapters=False
    )
    tensors = mobilenet_classifier()
    loaded = to_torch(*load_encoder(tensors, *initial_variables(network), network), network)
    for target, source in {
        "features.0.conv.0.weight": "features.0.0.weight",
        "features.0.conv.1.running_var": "features.0.1.running_var",
        "features.1.conv.conv1.weight": "features.1.conv.0.weight",
        "features.1.conv.bn2.semseg.bias": "features.1.conv.4.bias",
        "features.5.conv.conv2.weight": "features.5.conv.3.weight",
        "features.5.conv.bn3.normals.running_mean": "features.5.conv.7.running_mean",
        "features.17.se.fc.normals.2.weight": "features.17.se.fc.2.weight",
    }.items():
        np.testing.assert_array_equal(loaded[target], tensors[source])


def test_neutral_gates_can_learn():
    """The loss of a network that starts from a plain ResNet depends on the gates of every block."""
    network = network_of({"normals": 3}, **SMALL)
    params, stats = load_encoder(classifier(None), *initial_variables(network), network)
    images = jnp.asarray(np.random.default_rng(1).standard_normal((2, 64, 64, 3)), jnp.float32)

    def loss(task_params):
        changed = dataclasses.replace(params, task=task_params)
        return jnp.mean(encoder_outputs(network, changed, stats, images, 0)[1] ** 2)

    gradients = jax.jit(jax.grad(loss))(params.task)
    for stage in range(4):
        se = gradients["encoder"]["stages"][stage][0]["se"]
        assert np.abs(se["expand_bias"]).max() > 1e-3
    assert np.abs(se["expand_kernel"]).max() > 1e-4  # earlier stages have too few hidden units


def test_all_problems_in_one_error():
    network = network_of(TASKS, **SMALL)
    tensors = classifier("timm")
    del tensors["layer1.0.bn1.running_var"]
    tensors["layer1.1.conv1.weight"] = np.ones(3)
    tensors["layer2.0.conv2.weight"] = np.ones((8, 8, 1, 1))
    tensors["layer2.0.se.fc2.weight"] = np.ones((32, 3, 1, 1))
    tensors["module.bn1.weight"] = np.ones(4)
    with pytest.raises(WeightsError) as caught:
        load_encoder(tensors, *initial_variables(network), network)
    first, *others = str(caught.value).splitlines()
    assert first == "5 tensors do not fit the encoder:"
    assert sorted(line.strip() for line in others) == [
        "duplicate: bn1.weight",
        "missing: layer1.0.bn1.running_var",
        "unused: layer1.1.conv1.weight",
        "wrong shape: layer2.0.conv2.weight is (8, 8, 1, 1), the encoder needs (8, 8, 3, 3)",
        "wrong shape: layer2.0.se.fc2.weight is (32, 3), the encoder needs (32, 2)",
    ]


@pytest.fixture
def start(tmp_path):
    """An experiment that starts from a file, its step, with initial values of 1, and the file."""
    path = tmp_path / "classifier.npz"
    write_tensors(path, classifier(None))
    changes = {"model__pretrained": str(path), "model__width_multiplier": 0.0625}
    experiment = Experiment(from_config_dict(settings(tasks=("edge", "depth"), **changes)))
    step = experiment.train_step(steps_per_epoch=1)
    shapes = jax.eval_shape(step.init, jax.random.key(0))
    step.init = lambda key: jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
    return experiment, step, path


def test_experiment_starts_from_the_file(start, capsys):
    experiment, step, _ = start
    state = experiment.init(step)
    assert experiment.network.config.stride_in == "conv2"
    assert "model.stride_in=conv2" in " ".join(capsys.readouterr().out.split())
    kernel = state.params.shared["encoder"]["stem_conv"]["kernel"]
    expected = classifier(None)["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    assert kernel.sharding == experiment.placement.replicated
    np.testing.assert_array_equal(state.params.heads["edge"]["bias"], 1)


def test_files_that_cannot_be_used_are_named(start, tmp_path):
    """Before anything is written."""
    experiment, step, path = start
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"no file {path}"):
        experiment.init(step)
    papers = {"model__pretrained": str(path), "model__stride_in": "paper"}
    with pytest.raises(FileNotFoundError, match=f"no file {path}"):
        Experiment(from_config_dict(settings(**papers)))
    write_tensors(path, {"bn1.weight": np.ones(4)})
    with pytest.raises(WeightsError, match=f"^{path} does not fit backbone resnet14: "):
        loop._begin(experiment, step, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stride_in", "se", "expected"),
    [
        ("auto", "reference", "conv2"),
        ("auto", "timm", "conv2"),
        ("auto", None, "conv2"),
        ("paper", "reference", "conv1"),
        ("paper", "timm", "conv2"),
        ("paper", None, "conv2"),
        ("conv1", None, "conv1"),
        ("conv2", "reference", "conv2"),
    ],
)
def test_the_stride_is_where_the_file_was_trained_with_it(tmp_path, stride_in, se, expected):
    path = tmp_path / "classifier.npz"
    write_tensors(path, classifier(se))
    changes = {"model__stride_in": stride_in, "model__pretrained": str(path)}
    config = settled(from_config_dict(settings(**changes)))
    assert config.model.stride_in == expected
    path.unlink()
    assert settled(config) == config  # decided once, without the file


@pytest.mark.parametrize("stride_in", ["auto", "paper"])
def test_without_a_file_the_stride_is_the_papers(stride_in):
    config = from_config_dict(settings(model__stride_in=stride_in))
    assert settled(config).model.stride_in == "conv1"


def test_the_papers_configurations_start_as_the_paper(tmp_path):
    """From the reference implementation's file only."""
    values = load("pascal").get_config("backbone=resnet26")
    for se, expected in (("reference", "conv1"), (None, "conv2")):
        path = tmp_path / f"{se}.npz"
        write_tensors(path, classifier(se))
        values.model.pretrained = str(path)
        assert settled(from_config_dict(values)).model.stride_in == expected


def test_a_run_goes_on_without_the_file(tmp_path, start):
    """What its folder recorded holds, unless the settings name another file."""
    experiment, _, path = start
    claim_workdir(tmp_path / "run", experiment.config)
    path.unlink()
    changes = {
        "model__pretrained": str(path),
        "model__width_multiplier": 0.0625,
        "model__stride_in": "paper",
    }
    config = from_config_dict(settings(tasks=("edge", "depth"), **changes))
    again = Experiment(as_begun(tmp_path / "run", config)).config
    assert again == experiment.config
    check_workdir(tmp_path / "run", again)
    other = dataclasses.replace(config.model, pretrained="another.npz")
    with pytest.raises(FileNotFoundError, match=r"another\.npz"):
        Experiment(as_begun(tmp_path / "run", dataclasses.replace(config, model=other)))


def test_recorded_settings_read_no_file(tmp_path):
    """A folder whose config.json leaves the stride to a file is none of ours."""
    values = from_config_dict(settings(model__pretrained="/no/such/file.npz")).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert recorded_config(tmp_path).model.stride_in == "conv1"
    Experiment(recorded_config(tmp_path))
