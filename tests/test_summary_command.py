"""Parameters and multiply-adds of a configuration, beside single-task networks."""

import sys

import jax
import pytest
from absl.testing import flagsaver
from test_network import SHARED, SMALL, network_of, shapes_of

from astmt_jax import summary
from astmt_jax.command_line import config_flag
from astmt_jax.models.config import DiscriminatorConfig
from astmt_jax.models.network import parameter_count

CHANNELS = {"semseg": 5, "normals": 3, "edge": 1}
SIZE = 64


@pytest.fixture(scope="module")
def network():
    return network_of(CHANNELS, DiscriminatorConfig(depth=1, kernel=3), **SMALL)


def test_parameters_of_a_network(network):
    """Every one belongs to exactly one part; heads and discriminator in closed form."""
    cost = summary.network_cost(network, SIZE)
    assert cost.parameters == parameter_count(shapes_of(network)[0])
    assert cost.heads == {name: 32 * count + count for name, count in CHANNELS.items()}
    assert list(cost.heads) == list(cost.one_task) == list(CHANNELS)
    assert cost.discriminator == 9 * 32 * 3 + 3
    per_task = parameter_count(shapes_of(network)[0].task)
    assert cost.owned * 3 == per_task > 0


def test_frozen_weights_are_parameters():
    """What is never trained is part of the network still."""
    frozen = summary.network_cost(network_of(CHANNELS, **SMALL | {"encoder_norm": "frozen"}), SIZE)
    shared = summary.network_cost(network_of(CHANNELS, **SMALL | {"encoder_norm": "shared"}), SIZE)
    assert frozen.parameters == shared.parameters


def test_single_task_networks(network):
    """As large and as costly as each is when it is built by itself."""
    singles = summary.single_task_costs(network.config, network.channels, SIZE)
    assert list(singles) == list(CHANNELS)
    for name, count in CHANNELS.items():
        alone = summary.network_cost(network_of({name: count}, **SMALL, **SHARED), SIZE)
        assert singles[name] == alone


def test_all_tasks_share_what_does_not_depend_on_them(network):
    """With everything shared, a further task costs its prediction layer only."""
    cost = summary.network_cost(network_of(CHANNELS, **SMALL, **SHARED), SIZE)
    heads = {name: (SIZE // 4) ** 2 * 32 * count for name, count in CHANNELS.items()}
    trunk = cost.one_task["edge"] - heads["edge"]
    assert cost.one_task == {name: trunk + head for name, head in heads.items()}
    assert cost.all_tasks == trunk + sum(heads.values())
    own = summary.network_cost(network, SIZE)
    assert cost.all_tasks < own.all_tasks < sum(own.one_task.values())


@pytest.fixture
def run(monkeypatch):
    """Runs the command in this process; returns what it exits with, None for success."""

    def run(*arguments):
        argv = ["summary", *arguments]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overridden fields
        with flagsaver.flagsaver():
            try:
                summary.main(config_flag.parse_flags(argv)[:1])
            except SystemExit as end:
                return end.code

    return run


def test_command(run, capsys):
    """Full-size networks, whose weights are not allocated."""
    before = len(jax.live_arrays())
    variant = "configs/scenes.py:tasks=edge+semseg+human_parts+normals+sal,backbone=resnet26"
    assert not run(
        f"--config={variant}",
        "--config.model.width_multiplier=1.0",
        "--config.model.decoder_width=64",
        "--config.train.image_size=512",
    )
    assert len(jax.live_arrays()) <= before
    lines = capsys.readouterr().out.splitlines()
    assert "resnet26, 5 tasks, one image of 512 x 512" in lines[0]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert [row[0] for row in cells] == [
        "shared", "edge", "semseg", "human_parts", "normals", "sal", "discriminator", "all",
    ]  # fmt: skip
    assert cells[-1][1] == "31,279,377"
    assert float(cells[1][3]) == pytest.approx(25.9, rel=0.005)
    assert cells[-2][1] == f"{64 * 64 + 64 * 5 + 5:,}"


def test_misuse_ends_with_one_sentence(run):
    code = run("--config=configs/scenes.py", "--config.model.output_stride=12")
    assert code.startswith("Error: model.output_stride is 12")
    assert "\n" not in code
