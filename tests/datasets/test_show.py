"""The contact sheet of a dataset."""

import archives
import numpy as np
import pytest
from PIL import Image
from prepared import prepare_examples

from astmt_jax.command_line.arguments import options
from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import registry
from astmt_jax.datasets.show import main, sheet_rows
from astmt_jax.records import build_record

OPTIONS = {"semseg_classes": ("a", "b", "c", "d", "e")}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root, data_dir = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("data")
    archives.make_own_data(root)
    prepare_examples("own_data", root, data_dir)
    return data_dir


def test_the_sheet_shows_what_is_stored(data_dir, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    main(
        [
            "--dataset=own_data", f"--data_dir={data_dir}", "--count=9",
            "--options=semseg_classes=a+b+c+d+e", "--size=64", f"--output={path}",
        ]
    )  # fmt: skip
    assert "3 of 3 images of own_data/1.1.0:train" in capsys.readouterr().out
    picture = np.array(Image.open(path))
    assert picture.shape[1] > 4 * 160  # columns for the image and three tasks
    assert picture.std() > 20


def test_rows_hold_the_labels_before_and_after_augmentation(data_dir):
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    tasks = registry.select_tasks("own_data", ("semseg", "depth"), OPTIONS)
    still = build_record(AugmentationConfig, options("flip=False,rotation=0,scale=1+1"), "")
    rows = sheet_rows(source, tasks, still, count=2, size=72, seed=0)
    assert [row["name"] for row in rows] == ["a", "b"]
    stored, moved = rows[0]["predictions"], rows[0]["truths"]
    assert list(stored) == list(moved) == ["input", "semseg", "depth"]
    assert stored["semseg"].shape == (36, 44, 1)
    columns = ((np.arange(72) + 0.5) * 44 / 72).astype(int)
    np.testing.assert_array_equal(moved["semseg"], stored["semseg"].repeat(2, 0)[:, columns])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset=imagenet"], "'imagenet', but must be one of"),
        (["--dataset=fsv"], "fsv is not prepared in"),
        (["--dataset=own_data", "--split=test"], "there is no split"),
        (["--dataset=own_data", "--tasks=sal"], "has no sal"),
        (["--dataset=own_data", "--tasks=flow"], "names flow, but own_data has"),
        (["--dataset=own_data", "--options=classes=3"], "options.classes is not a field"),
        (["--dataset=own_data", "--augmentation=rotation=200"], "augmentation.rotation is 200.0"),
        (["--dataset=own_data", "--augmentation=hue=1"], "augmentation.hue is not a field"),
        (["--dataset=own_data", "--output={here}"], "exists already: choose another --output"),
    ],
)
def test_misuse_ends_with_one_sentence(data_dir, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main([*(text.format(here=data_dir) for text in arguments), f"--data_dir={data_dir}"])
    assert words in caught.value.code
    assert "\n" not in caught.value.code
