"""Parameters and multiply-adds of a configuration, beside single-task networks."""

import sys

import jax
import pytest
from absl.testing import flagsaver

from astmt_jax import summary
from astmt_jax.command_line import config_flag


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


def table_in(printed):
    """Title and cells, row by row, of what the command prints."""
    lines = printed.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    return lines[0], cells


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
    title, cells = table_in(capsys.readouterr().out)
    assert "resnet26, 5 tasks, one image of 512 x 512" in title
    assert [row[0] for row in cells] == [
        "shared", "edge", "semseg", "human_parts", "normals", "sal", "discriminator", "all",
    ]  # fmt: skip
    assert cells[-1][1] == "31,279,377"
    assert float(cells[1][3]) == pytest.approx(25.9, rel=0.005)
    assert cells[-2][1] == f"{64 * 64 + 64 * 5 + 5:,}"


@pytest.mark.parametrize(
    ("config", "option", "classes"),
    [
        ("own_data", "semseg_classes=('floor', 'wall', 'chair')", 3),
        ("nyud", "classes=40", 40),
        ("nyud", "classes=41", 41),
    ],
)
def test_classes_are_those_that_the_options_name(run, capsys, config, option, classes):
    """The head of semantic segmentation in closed form: a 1x1 convolution with bias."""
    variant = f"configs/{config}.py:tasks=semseg+normals,backbone=resnet14"
    small = {"width_multiplier": 0.0625, "decoder_width": 32}
    assert not run(
        f"--config={variant}",
        *(f"--config.model.{name}={value}" for name, value in small.items()),
        "--config.train.image_size=64",
        f"--config.dataset.options.{option}",
    )
    rows = {row[0]: row for row in table_in(capsys.readouterr().out)[1]}
    assert rows["semseg"][2] == f"{32 * classes + classes:,}"
    assert rows["normals"][2] == f"{32 * 3 + 3}"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("backbone=resnet18", "model.backbone is 'resnet18', but must be one of: "),
        ("width_multiplier=0.1", "model.width_multiplier is 0.1, which gives the narrowest "),
        ("remat=all", "model.remat is 'all', but must be one of: "),
    ],
)
def test_what_the_network_refuses_ends_with_one_sentence(run, setting, sentence):
    code = run("--config=configs/scenes.py", f"--config.model.{setting}")
    assert code.startswith(f"Error: {sentence}")
    assert "\n" not in code


def test_misuse_ends_with_one_sentence(run):
    code = run("--config=configs/scenes.py", "--config.model.output_stride=12")
    assert code.startswith("Error: model.output_stride is 12")
    assert "\n" not in code
