"""The command on a folder of photos of every kind, good ones and bad ones."""

import errno
import os
import shutil

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image
from tiny_run import SIZE, TASKS, write_run

from astmt_jax.evaluation import prediction_folder
from astmt_jax.evaluation.views import PLAIN, Views
from astmt_jax.predict import __main__ as predict
from astmt_jax.tasks import bands

SIZES = {  # upright (height, width) of what is in the folder
    "portrait.jpg": (50, 30),
    "portrait.png": (50, 30),
    "sub/portrait": (41, 24),
    "landscape": (30, 50),
    "grey": (40, 40),
    "cmyk": (30, 50),
    "deep": (40, 40),
    "transparent": (40, 40),
    "palette": (40, 40),
    "dot": (1, 1),
    "turned": (50, 30),
    "wide": (1, 300),
}
BAD = ("corrupt.png", "notes.txt", "text.jpg", "truncated.jpg")


def picture(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    picture(50, 30).save(folder / "portrait.jpg")
    picture(50, 30).save(folder / "portrait.png")
    picture(41, 24).save(folder / "sub/portrait.jpg")
    picture(30, 50).save(folder / "landscape.jpg", quality=100)
    picture(40, 40).convert("L").save(folder / "grey.png")
    picture(30, 50).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.asarray(picture(40, 40).convert("L"), np.uint16) * 257).save(
        folder / "deep.png"
    )
    transparent = picture(40, 40)
    transparent.putalpha(128)
    transparent.save(folder / "transparent.png")
    picture(40, 40).convert("P").save(folder / "palette.png")
    picture(1, 1).save(folder / "dot.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture has to be turned clockwise
    picture(50, 30).transpose(Image.Transpose.ROTATE_90).save(
        folder / "turned.jpg", exif=exif, quality=100
    )
    picture(1, 300).save(folder / "wide.png")
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "truncated.jpg")
    Image.fromarray(noise).save(folder / "corrupt.png")
    content = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (folder / "corrupt.png").write_bytes((folder / "corrupt.png").read_bytes()[:60] + b"x" * 999)
    (folder / "text.jpg").write_text("not a picture")
    (folder / "notes.txt").write_text("nor this")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The model behind the command; tests of the command find it in `workdir`."""
    return write_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def command(model):
    """Runs the command with that model; returns its exit code."""

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predict, "load", lambda workdir: model)  # compiled once for all tests
            with pytest.raises(SystemExit) as caught:
                predict.main(["--workdir=run", *map(str, arguments)])
        return caught.value.code

    return run


@pytest.fixture(scope="module")
def done(command, photos, tmp_path_factory):
    """The folder of results, of the whole folder of photos, and the exit code."""
    output = tmp_path_factory.mktemp("predict") / "output"
    return output, command(f"--input={photos}", f"--output={output}")


def size_of(path):
    with Image.open(path) as image:
        return image.size[::-1]


def test_every_good_photo_has_its_files_and_no_other_file_is_there(done):
    output, code = done
    assert code == predict.SOME_UNREADABLE == 3
    found = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    endings = dict.fromkeys(TASKS, ".png") | {"depth": ".mat"}
    expected = {f"predictions/{t}/{name}{endings[t]}" for t in TASKS for name in SIZES}
    expected |= {f"colors/{task}/{name}.png" for task in TASKS for name in SIZES}
    expected |= {f"panels/{name}.png" for name in SIZES}
    assert found == expected


def test_files_have_the_photos_sizes_and_hold_the_predictions(done, model, photos):
    output, _ = done
    tasks = prediction_folder.find_tasks(
        output / "predictions", {task.name: task for task in model.tasks}, None
    )
    folder = prediction_folder.PredictionFolder(output / "predictions", tasks)
    folder.check(list(SIZES), lambda name, task: True)
    for name, size in SIZES.items():
        assert size_of(output / f"colors/normals/{name}.png") == size, name
        assert size_of(output / f"predictions/semseg/{name}.png") == size, name
        stored = folder.read(name, size, resize=False)
        folder.raise_problems()
        assert set(stored) == set(TASKS)
    expected = model.predict(photos / "landscape.jpg")
    depth = scipy.io.loadmat(output / "predictions/depth/landscape.mat")["depth"]
    np.testing.assert_allclose(depth, expected["depth"], rtol=1e-4, atol=1e-4)
    colors = np.asarray(Image.open(output / "colors/depth/landscape.png"), int)
    assert np.abs(colors - model.colorize("depth", expected["depth"])).max() <= 3


def test_turned_photo_is_predicted_upright(done, model):
    """As the same picture stored upright is, but for what JPEG loses."""
    output, _ = done
    upright = model.predict(picture(50, 30), ["depth"])["depth"]
    found = scipy.io.loadmat(output / "predictions/depth/turned.mat")["depth"]
    assert found.shape == upright.shape
    assert np.corrcoef(found.ravel(), upright.ravel())[0, 1] > 0.95
    assert np.corrcoef(found.ravel(), upright[::-1].ravel())[0, 1] < 0.9


def test_bad_files_have_one_line_each(command, photos, tmp_path, capsys):
    only_bad = tmp_path / "bad"
    only_bad.mkdir()
    for name in BAD:
        shutil.copy(photos / name, only_bad)
    assert command(f"--input={only_bad}", f"--output={tmp_path / 'output'}") == 3
    heading, *lines = capsys.readouterr().err.splitlines()
    assert heading == "4 files could not be predicted:"
    assert len(lines) == len(BAD)
    for line, name in zip(lines, BAD, strict=True):
        assert line.startswith(f"  {only_bad / name} is ")
        assert line.endswith(".")


def test_some_tasks_of_a_pattern(command, photos, tmp_path, capsys):
    code = command(
        f"--input={photos}/por*.jpg", f"--output={tmp_path}", "--tasks=edge+normals+edge"
    )
    assert code == 0
    assert capsys.readouterr().err == ""
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        *(
            f"{kind}/{t}/portrait.png"
            for kind in ("predictions", "colors")
            for t in ("edge", "normals")
        ),
        "panels/portrait.png",
    }


def test_nothing_is_overwritten_unless_allowed(command, photos, tmp_path):
    arguments = [f"--input={photos}/dot.png", f"--output={tmp_path}", "--tasks=semseg"]
    assert command(*arguments) == 0
    file = tmp_path / "colors/semseg/dot.png"
    panel = tmp_path / "panels/dot.png"
    file.write_text("mine")
    panel.unlink()
    code = command(*arguments)
    assert code.startswith("Error: ")
    assert "/semseg/dot.png exists already: choose another folder" in code
    assert "\n" not in code
    assert file.read_text() == "mine"
    assert not panel.exists()
    assert command(*arguments, "--overwrite") == 0
    assert size_of(file) == (1, 1)


def test_interrupted_command_goes_on(command, photos, tmp_path, capsys):
    arguments = [f"--input={photos}/[dg]*.png", f"--output={tmp_path}", "--tasks=semseg"]
    assert command(*arguments) == 0
    (tmp_path / "panels/grey.png").unlink()
    (tmp_path / "colors/semseg/dot.png").write_text("mine")
    assert command(*arguments, "--skip_existing") == 0
    output = capsys.readouterr().out
    assert "2 of 3 photos are done already." in output
    assert "Predicted 1 photos" in output
    assert (tmp_path / "panels/grey.png").exists()
    assert (tmp_path / "colors/semseg/dot.png").read_text() == "mine"


def test_results_among_the_photos_are_not_predicted(command, photos, tmp_path):
    shutil.copy(photos / "dot.png", tmp_path)
    arguments = [f"--input={tmp_path}", f"--output={tmp_path}", "--tasks=semseg"]
    assert command(*arguments) == 0
    assert command(*arguments, "--overwrite") == 0
    assert len(list((tmp_path / "panels").rglob("*.png"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input=nowhere"], "There is no file nowhere."),
        (["--input=PHOTOS", "--tasks=edge+sal"], "There is no task 'sal': the model has semseg, "),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    command, photos, tmp_path, arguments, message
):
    arguments = [argument.replace("PHOTOS", str(photos)) for argument in arguments]
    assert command(*arguments, f"--output={tmp_path / 'output'}").startswith(f"Error: {message}")
    assert not (tmp_path / "output").exists()


def test_folder_without_a_run(photos, tmp_path):
    with pytest.raises(SystemExit) as caught:
        predict.main([f"--workdir={tmp_path}", f"--input={photos}", f"--output={tmp_path}"])
    assert caught.value.code == f"Error: There is no run in {tmp_path}."


def test_wrong_command_line(command, capsys):
    assert command("--input=a", "--output=b", "--batch_size=0") == 2
    assert "0 is less than 1" in capsys.readouterr().err


def test_photos_are_batched_by_shape_and_by_what_fits_into_memory(model, monkeypatch):
    monkeypatch.setattr(predict, "MAX_BATCH_PIXELS", 100 * 100)
    sizes = [(50, 30), (20, 60), (50, 30), (50, 30), (1000, 600), (50, 30), (50, 30)]
    jobs = [predict.Job(str(number), None, size) for number, size in enumerate(sizes)]

    def batches(views):
        settings = predict.Settings(TASKS, views, SIZE, 3)
        return [[job.name for job in batch] for batch in predict._batches(jobs, model, settings)]

    assert batches(PLAIN) == [["0", "2", "3"], ["4"], ["5", "6"], ["1"]]
    assert batches(Views(tile=32)) == [[name] for name in "0234561"]


LONG = "n" * 251
"""With '.png' the longest name that a file can have; with '.mat.' and more none."""


def test_the_longest_name_is_written(command, tmp_path):
    (tmp_path / "photos").mkdir()
    picture(20, 20).save(tmp_path / f"photos/{LONG}.png")
    assert command(f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'output'}") == 0
    assert (tmp_path / f"output/predictions/depth/{LONG}.mat").is_file()
    assert (tmp_path / f"output/panels/{LONG}.png").is_file()


def test_a_name_too_long_costs_only_its_photo(command, tmp_path, capsys):
    """Two photos differ in their ending, which therefore stays, and another one follows it."""
    (tmp_path / "photos").mkdir()
    for name in (f"{LONG}.png", f"{LONG}.jpg", "good.png", "zebra.png"):
        picture(20, 20).save(tmp_path / "photos" / name)
    arguments = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'output'}"]
    for more in ([], ["--overwrite"], ["--skip_existing"]):
        assert command(*arguments, *more) == 3
        heading, *lines = capsys.readouterr().err.splitlines()
        assert heading == "2 files could not be predicted:"
        for line, ending in zip(lines, ("jpg", "png"), strict=True):
            assert line.startswith(f"  {tmp_path}/photos/{LONG}.{ending} cannot be written to ")
            assert line.endswith(": File name too long.")
        for name in ("good", "zebra"):
            assert (tmp_path / f"output/panels/{name}.png").is_file()


ODD_NAMES = (
    b"\xff\xfe caf\xe9.png", b"[bold]$x^$.png", b"\x1b[31mred.png", b"two\nlines.png",
    "\u0928\u092e\u0938\u094d\u0924\u0947 (1) @+'.png".encode(),
)  # fmt: skip


def test_names_of_all_kinds(command, tmp_path, capsys):
    """Names that are no UTF-8, markup, or commands to the terminal: shown as they are written."""
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    for name in ODD_NAMES:
        picture(20, 20).save(tmp_path / "photo.png")
        os.rename(tmp_path / "photo.png", os.path.join(folder, name))
        with open(os.path.join(folder, b"bad " + name), "wb") as file:
            file.write(b"no picture")
    code = command(f"--input={tmp_path / 'photos'}", f"--output={tmp_path / '[red]'}")
    assert code == 3
    written = os.listdir(os.fsencode(tmp_path / "[red]/predictions/semseg"))
    assert sorted(written) == sorted(ODD_NAMES)
    printed = capsys.readouterr()
    heading, *lines = printed.err.splitlines()
    assert heading == f"{len(ODD_NAMES)} files could not be predicted:"
    assert len(lines) == len(ODD_NAMES)
    assert "\x1b" not in printed.err
    assert all("bad " in line and line.isprintable() for line in lines)
    assert any(r"\x1b[31mred.png is no picture" in line for line in lines)
    assert any(r"two\nlines.png is no picture" in line for line in lines)
    assert "/[red]" in printed.out


def test_a_folder_where_a_file_is_to_be_costs_only_its_photo(command, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        picture(20, 20).save(tmp_path / "photos" / name)
    (tmp_path / "output/colors/semseg/a.png").mkdir(parents=True)
    arguments = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'output'}"]
    assert command(*arguments, "--tasks=semseg", "--overwrite") == 3
    (_, line) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"  {tmp_path}/photos/a.png cannot be written to ")
    assert (tmp_path / "output/panels/b.png").is_file()


def test_where_nothing_can_be_written_nothing_is_predicted(command, photos, tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/predictions").write_text("a file")
    code = command(f"--input={photos}/dot.png", f"--output={tmp_path / 'output'}")
    assert code.startswith("Error: ")
    assert "predictions" in code
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["predictions"]


def test_a_full_disk_ends_the_command(command, photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "file")

    monkeypatch.setattr(predict.Output, "write", full)
    code = command(f"--input={photos}/dot.png", f"--output={tmp_path / 'output'}")
    assert code.startswith("Error: ")
    assert "No space left on device" in code


def test_files_of_a_photo_in_tiles_hold_what_the_model_predicts(command, model, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    picture(70, 90).save(tmp_path / "photos/large.png")
    arguments = ["--tile=48", "--overlap=16", "--flip", "--scales=1,1.5", "--batch_size=2"]
    output = tmp_path / "output"
    assert command(f"--input={tmp_path / 'photos'}", f"--output={output}", *arguments) == 0
    expected = model.predict(
        tmp_path / "photos/large.png", tile=48, overlap=16, flip=True, scales=(1, 1.5)
    )
    depth = scipy.io.loadmat(output / "predictions/depth/large.mat")["depth"]
    np.testing.assert_allclose(depth, expected["depth"], atol=1e-4)
    classes = np.asarray(Image.open(output / "predictions/semseg/large.png"))
    assert (classes == expected["semseg"]).mean() > 0.99  # ties
    colors = np.asarray(Image.open(output / "colors/depth/large.png"), int)
    assert np.abs(colors - model.colorize("depth", expected["depth"])).max() <= 3
    assert (output / "panels/large.png").is_file()


def test_files_are_the_same_in_bands(command, photos, tmp_path, monkeypatch):
    """What is written of a photo row by row is what is written of it at once."""
    for name in ("whole", "banded"):
        arguments = (f"--input={photos}/landscape.jpg", f"--output={tmp_path / name}")
        assert command(*arguments) == 0
        monkeypatch.setattr(bands, "BAND_PIXELS", 7 * 50)
    names = [
        str(path.relative_to(tmp_path / "whole"))
        for path in (tmp_path / "whole").rglob("*")
        if path.suffix == ".png"
    ]
    assert len(names) == 3 + 4 + 1
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (
            tmp_path / "banded" / name
        ).read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tile=50"], "tile is 50, but must be a multiple of the network's output stride, 16: "),
        (["--tile=48", "--overlap=48"], "overlap is 48, but must be at least 0 and less than "),
        (["--overlap=16"], "overlap is 16, but there is no tile."),
        (["--scales=1,0"], "A scale is 0, but must be more than 0 and at most 8."),
    ],
)
def test_views_that_there_are_not_are_said_before_anything_is_written(
    command, photos, tmp_path, arguments, message
):
    output = tmp_path / "output"
    code = command(f"--input={photos}", f"--output={output}", *arguments)
    assert code.startswith(f"Error: {message}")
    assert not output.exists()


def test_scales_that_are_no_numbers_are_a_wrong_command_line(command, capsys):
    assert command("--input=a", "--output=b", "--scales=1,big") == 2
    assert "argument --scales: 'big' is no number" in capsys.readouterr().err


def test_how_many_pixels_are_read_is_a_choice(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (1200, 1000)).save(tmp_path / "photos/large.png")
    arguments = [f"--input={tmp_path / 'photos'}", f"--output={tmp_path}", "--tasks=semseg"]
    assert command(*arguments) == 3
    assert "has more than 1 million pixels, the most that is read" in capsys.readouterr().err
    assert command(*arguments, "--max_megapixels=2") == 0
