"""Settings: everything that cannot be built is refused in one sentence, before it is built."""

import itertools
import json
import subprocess
import sys

import pytest
from ml_collections import ConfigDict
from settings import CONFIGS, ROOT, assert_one_sentence, load, settings

from astmt_jax.config import differences, from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.models.families import BACKBONES
from astmt_jax.paper import METHODS, parse_variant
from astmt_jax.training.experiment import Experiment

REFUSED = {
    "unknown field": ({"train__epoch": 3}, ["config.train.epoch", "did you mean epochs?"]),
    "field of an earlier version": (
        {"model__adapters": False},
        ["config.model.adapters", "config.model.encoder_adapters", "config.model.decoder_adapters"],
    ),
    "unknown section": ({"trian": {}}, ["config.trian", "did you mean train?"]),
    "unknown option": ({"model__xyz": 3}, ["config.model.xyz", "output_stride"]),
    "text for a number": ({"train__epochs": "3"}, ["config.train.epochs", "'3'", "int"]),
    "fraction for a count": ({"train__batch_size": 2.5}, ["config.train.batch_size", "2.5", "int"]),
    "truth value for a number": ({"seed": True}, ["config.seed", "True", "int"]),
    "number for a truth value": (
        {"model__decoder_se": 1},
        ["config.model.decoder_se", "1", "bool"],
    ),
    "text for several names": ({"tasks": "edge"}, ["config.tasks", "'edge'", "tuple"]),
    "number for a section": ({"train": 3}, ["config.train", "3"]),
    "no epochs": ({"train__epochs": 0}, ["train.epochs", "0", "at least 1"]),
    "empty batch": ({"train__batch_size": 0}, ["train.batch_size", "0", "at least 1"]),
    "no threads": ({"train__num_threads": 0}, ["num_threads", "0", "at least 1"]),
    "negative seed": ({"seed": -1}, ["seed", "-1", "at least 0"]),
    "negative rate": ({"optimizer__learning_rate": -1e-3}, ["learning_rate", "-0.001", "positive"]),
    "rate not a number": ({"optimizer__learning_rate": float("nan")}, ["learning_rate", "nan"]),
    "negative decay": ({"optimizer__weight_decay": -1.0}, ["optimizer.weight_decay", "-1.0"]),
    "too much momentum": ({"optimizer__momentum": 1.5}, ["optimizer.momentum", "1.5"]),
    "no memory of squares": ({"optimizer__adam_b2": 1.0}, ["optimizer.adam_b2", "1.0"]),
    "output stride 12": ({"model__output_stride": 12}, ["model.output_stride", "12", "8, 16"]),
    "decoder width that does not divide": (
        {"model__decoder_width": 40},
        ["model.decoder_width", "40", "multiple of 16"],
    ),
    "discriminator of different widths": (
        {"model__decoder": "uber", "discriminator__weight": 0.01},
        ["discriminator.weight", "0.01", "uber", "0"],
    ),
    "stride": ({"model__stride_in": "conv3"}, ["model.stride_in", "conv3", "conv1, conv2"]),
    "narrow decoder": ({"model__decoder_width": 16}, ["model.decoder_width", "16", "32"]),
    "discriminator's weight": ({"discriminator__weight": 1.0}, ["discriminator.weight", "1.0"]),
    "discriminator's kernel": ({"discriminator__kernel": 2}, ["discriminator.kernel", "2", "1, 3"]),
    "no task": ({"tasks": ()}, ["tasks", "at least one"]),
    "task named twice": ({"tasks": ("edge", "sal", "edge")}, ["tasks", "edge", "more than once"]),
    "two starts of the encoder": (
        {"init_from": "runs/six", "model__pretrained": "a.npz"},
        ["init_from", "model.pretrained", "leave one"],
    ),
    "unknown freezing": (
        {"init_from": "runs/six", "freeze": "all"},
        ["freeze is 'all'", "shared"],
    ),
    "nothing to freeze": ({"freeze": "shared"}, ["freeze is 'shared'", "init_from is None"]),
    "tasks without freezing": (
        {"trained_tasks": ("albedo",)},
        ["trained_tasks", "freeze is None", "freeze='shared'"],
    ),
    "trained task that there is not": (
        {"init_from": "runs/six", "freeze": "shared", "trained_tasks": ("flow",)},
        ["trained_tasks is 'flow'", "albedo"],
    ),
    "options that are no section": (
        {"dataset__options": 3},
        ["config.dataset.options is 3", "must be a section"],
    ),
    "image size": (
        {"train__image_size": 104},
        ["train.image_size", "104", "multiple", "output_stride", "16"],
    ),
}


REFUSED_BY_NETWORK = {
    "unknown backbone": ({"model__backbone": "resnet18"}, ["model.backbone", "resnet18"]),
    "width that does not divide": (
        {"model__width_multiplier": 0.1},
        ["model.width_multiplier", "0.1", "6.4", "multiple of 4"],
    ),
    "adapters of MobileNet": (
        {"model__backbone": "mobilenetv2", "model__encoder_adapters": True},
        ["model.encoder_adapters", "mobilenetv2", "False"],
    ),
    "unknown initial values": (
        {"model__conv_init": "xavier"},
        ["model.conv_init", "xavier", "gaussian, kaiming, kaiming_fan_out"],
    ),
    "unknown rematerialisation": (
        {"model__remat": "all"},
        ["model.remat", "all", "none, elementwise, block"],
    ),
}


def assert_refused(build, words):
    """`build` raises one sentence that has all the words."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
        build()
    assert_one_sentence(str(caught.value))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    changes, words = REFUSED[case]
    assert_refused(lambda: from_config_dict(settings(**changes)), words)


@pytest.mark.parametrize("case", REFUSED_BY_NETWORK)
def test_refused_by_network(case):
    """What depends on the backbone is refused before anything else is built."""
    changes, words = REFUSED_BY_NETWORK[case]
    config = from_config_dict(settings(**changes))
    assert_refused(lambda: Experiment(config), words)


def test_settings_are_light_to_import():
    """They are read before any network is made, by programs that make none, too."""
    heavy = {"flax", "tensorflow", "matplotlib", "cv2", "PIL", "rich", "scipy"}
    code = f"import sys, astmt_jax.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_lacking_field_is_named():
    values = settings()
    del values["train"]["epochs"]
    with pytest.raises(ValueError, match=r"config\.train lacks epochs\.$"):
        from_config_dict(values)


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match=r"names flow, but scenes has: edge, .*albedo\.$"):
        registry.select_tasks("scenes", ("edge", "flow"))


def test_unknown_dataset_is_refused():
    with pytest.raises(ValueError, match=r"'cityscapes', but must be one of: .*scenes"):
        registry.find("cityscapes")


def test_unknown_resize_is_refused_before_anything_starts():
    config = from_config_dict(settings(evaluation__image_resize="area"))
    words = r"^evaluation\.image_resize is 'area', but must be one of: linear, cubic\.$"
    with pytest.raises(ValueError, match=words):
        Experiment(config)


def test_to_dict_round_trip():
    """Through JSON, as it is stored beside checkpoints, with a value in every optional field."""
    changes = {"train__num_threads": 2, "optimizer__task_multiplier": 3, "train__epochs": 17}
    config = from_config_dict(settings(**changes))
    assert config.train.num_threads == 2
    assert config.train.epochs == 17
    assert config.optimizer.task_multiplier == 3.0
    assert from_config_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert from_config_dict(config.to_dict()) == config


def test_config_dict_and_dict_are_the_same():
    assert from_config_dict(ConfigDict(settings())) == from_config_dict(settings())


def test_differences():
    old = {"seed": 0, "tasks": ("edge",), "train": {"epochs": 3, "batch_size": 8}, "gone": 1}
    new = {"seed": 0, "tasks": ["edge"], "train": {"epochs": 4, "batch_size": 8}, "come": "x"}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "config.come: None -> 'x'",
        "config.gone: 1 -> None",
        "config.train.epochs: 3 -> 4",
    ]


def test_only_what_is_learnt_from_a_mixture_makes_a_difference():
    def of(**splits):
        options = {"datasets": {"ccp": {"tasks": ("sal",), **splits}}}
        return {"dataset": {"name": "mixture", "options": options}}

    assert differences(of(), of(validation_split="val")) == []
    (changed,) = differences(of(), of(train_split="train[:8]"))
    assert changed.startswith("config.dataset.options.datasets.ccp.train_split: None -> ")


def test_how_it_is_scored_makes_no_difference_to_a_run():
    old = {"seed": 0, "train": {"num_threads": None}}
    new = {"seed": 0, "train": {"num_threads": 3}, "evaluation": {"quantize": False}}
    assert differences(old, new) == []


def test_parse_variant():
    defaults = {"method": "astmt", "tasks": "all"}
    assert parse_variant("", **defaults) == defaults
    assert parse_variant("tasks=edge+sal", **defaults) == {"method": "astmt", "tasks": "edge+sal"}
    assert parse_variant("tasks=sal,method=mtl", **defaults) == {"method": "mtl", "tasks": "sal"}


@pytest.mark.parametrize("argument", ["method", "metod=mtl", "method=mtl,resnet50"])
def test_parse_variant_refuses(argument):
    wrong = argument.split(",")[-1]
    with pytest.raises(ValueError, match=rf"'{wrong}' after .* method=astmt, tasks=all\.$"):
        parse_variant(argument, method="astmt", tasks="all")


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.py")))
def test_every_variant_builds(name):
    """Each documented method, backbone and choice of tasks gives the settings that it names."""
    module = load(name)
    default = from_config_dict(module.get_config())
    known = tuple(registry.find(default.dataset.name).tasks(default.dataset.options))
    assert set(default.tasks) <= set(known)
    choices = [default.tasks, default.tasks[:2], *((task,) for task in default.tasks)]
    for method, backbone, chosen in itertools.product(METHODS, BACKBONES, choices):
        if method == "single" and len(chosen) > 1:
            continue
        tasks = "+".join(chosen)
        variant = f"method={method},backbone={backbone},tasks={tasks}"
        config = from_config_dict(module.get_config(variant))
        assert config.tasks == chosen
        assert config.model.backbone == backbone
        family = BACKBONES[backbone].family
        assert (config.discriminator.weight > 0) == (method == "astmt" and family.paper.adversarial)
        owned = {config.model.encoder_norm, config.model.encoder_se, config.model.decoder_norm}
        assert owned == ({"per_task"} if method == "astmt" else {"shared"})
        adapters = (config.model.encoder_adapters, config.model.decoder_adapters)
        assert set(adapters) == {method == "astmt" and family.has_adapters}
        assert config.model.decoder_se == (method == "astmt")
        assert config.train.normalize == family.classifiers.normalize
        records = registry.tasks_of(config)
        assert tuple(record.name for record in records) == chosen


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.py")))
@pytest.mark.parametrize("variant", ["method=single", "method=single,tasks=edge+sal"])
def test_single_method_is_for_one_task(name, variant):
    if name in ("bsds500", "camvid") and "tasks" not in variant:
        assert load(name).get_config(variant) == load(name).get_config()
        return
    with pytest.raises(ValueError, match=r"single.*tasks=\w+") as caught:
        load(name).get_config(variant)
    assert_one_sentence(str(caught.value))


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'cross', but must be one of: astmt, mtl, single"):
        load().get_config("method=cross")
