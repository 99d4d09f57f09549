"""The command that scores a folder of predictions, on a small PASCAL-Context of the real format."""

import json
import shutil

import archives
import jax
import numpy as np
import pytest
import scipy.io
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image
from prepared import prepared_once, read_examples

from astmt_jax import evaluate
from astmt_jax.datasets import registry
from astmt_jax.evaluation.network import evaluate_network
from astmt_jax.evaluation.prediction_folder import LISTED
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.edges import EdgeMetric
from astmt_jax.metrics.normals import NormalsMetric
from astmt_jax.metrics.saliency import SaliencyMetric
from astmt_jax.metrics.segmentation import SegmentationMetric
from astmt_jax.pipeline import truths as iteration
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.settings import InputSettings

NAMES = archives.PASCAL_NAMES["val"]
WITHOUT_PERSON = "2009_000004"
TASKS = ("edge", "semseg", "human_parts", "normals", "sal")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return prepared_once("pascal_context", archives.make_pascal, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def truths(data_dir):
    """name -> map, of the validation split."""
    source = registry.find("pascal_context").open(data_dir, {}, "val")
    return read_examples(source)


@pytest.fixture(scope="module")
def levels(truths):
    """task -> name -> what somebody's PNG holds."""
    random = np.random.default_rng(0)
    made = {task: {} for task in TASKS}
    for name, truth in truths.items():
        size = truth["image"].shape[:2]
        for task in ("edge", "sal"):
            made[task][name] = random.integers(0, 256, size).astype(np.uint8)
        for task, count in (("semseg", 21), ("human_parts", 7)):
            noise = random.integers(0, count, size)
            keep = (random.random(size) < 0.7) & (truth[task][..., 0] != 255)
            made[task][name] = np.where(keep, truth[task][..., 0], noise).astype(np.uint8)
        made["normals"][name] = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    return made


@pytest.fixture(scope="module")
def png_folder(levels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    for task, maps in levels.items():
        (folder / task).mkdir()
        for name, values in maps.items():
            Image.fromarray(values).save(folder / task / f"{name}.png")
    return folder


@pytest.fixture
def predictions(png_folder, tmp_path):
    """A copy of the predictions, to be spoiled."""
    without_results = shutil.ignore_patterns("results.json")
    return shutil.copytree(png_folder, tmp_path / "predictions", ignore=without_results)


@pytest.fixture
def command(data_dir, capsys):
    """Runs the command on a folder; returns its results.json and what it printed."""

    def run(folder, *arguments):
        evaluate.main(
            [
                f"--predictions={folder}",
                "--dataset=pascal_context",
                f"--data_dir={data_dir}",
                "--num_workers=1",
                *arguments,
            ]
        )
        return json.loads((folder / "results.json").read_text()), capsys.readouterr().out

    return run


@pytest.fixture
def refusal(command):
    """Runs the command on a folder that it refuses; returns what it says."""

    def run(folder, *arguments):
        with pytest.raises(SystemExit) as caught:
            command(folder, *arguments)
        assert isinstance(caught.value.code, str)  # printed on stderr, and the exit code is 1
        assert not (folder / "results.json").exists()
        return caught.value.code

    return run


def expected_scores(levels, truths):
    """The metrics of the levels, put together by hand."""
    metrics = {
        "edge": EdgeMetric(PROTOCOLS["pascal"]),
        "semseg": SegmentationMetric(21),
        "human_parts": SegmentationMetric(7, skip_empty=True),
        "normals": NormalsMetric(),
        "sal": SaliencyMetric(),
    }
    decode = {"normals": lambda v: v / 127.5 - 1, "sal": lambda v: np.float32(v / 255)}
    for name, truth in truths.items():
        for task, metric in metrics.items():
            values = decode.get(task, lambda v: v)(levels[task][name])
            plane = truth["label_map" if task == "edge" else task]
            metric.add(values, plane if task == "normals" else plane[..., 0])
    return {task: metric.result() for task, metric in metrics.items()}


def test_scores_are_those_of_the_metrics(command, png_folder, levels, truths):
    document, output = command(png_folder)
    assert document["dataset"] == "pascal_context"
    assert document["split"] == "val"
    assert document["images"] == 3
    assert list(document["results"]) == list(TASKS)
    for task, scores in expected_scores(levels, truths).items():
        assert document["results"][task] == pytest.approx(scores, rel=1e-6), task
    for words in ("odsF", "tvmonitor", "lower legs", "results.json"):
        assert words in output
    assert {path.name for path in png_folder.iterdir()} == {*TASKS, "results.json"}


def test_result_says_how_it_came_about(command, png_folder):
    details = command(png_folder)[0]["details"]
    protocol = details["edge"]["protocol"]
    assert protocol == PROTOCOLS["pascal"].settings()
    assert details["edge"]["compared_with"] == "label_map"
    assert len(details["edge"]["curve"]["precision"]) == 101
    assert list(details["semseg"]["classes"])[:2] == ["background", "aeroplane"]
    assert list(details["human_parts"]["classes"])[1] == "head"
    ious = [row["iou"] for row in details["semseg"]["classes"].values()]
    results = command(png_folder)[0]["results"]
    assert np.mean(ious) == pytest.approx(results["semseg"]["mIoU"])


def test_choices_of_the_metrics(command, png_folder):
    tasks = "--tasks=edge+semseg"
    document, _ = command(
        png_folder,
        tasks,
        "--edge_protocol=pascal_raw",
        "--edge_truth=edges",
        "--semseg_classes=present",
    )
    assert list(document["results"]) == ["edge", "semseg"]
    protocol = document["details"]["edge"]["protocol"]
    assert protocol["name"] == "pascal_raw"
    assert protocol["true_edges"] == "edge_map"
    assert document["details"]["edge"]["compared_with"] == "edge"
    ious = document["details"]["semseg"]["classes"].values()
    present = [row["iou"] for row in ious if row["pixels"]]
    assert document["results"]["semseg"]["mIoU"] == pytest.approx(np.mean(present))
    default = command(png_folder, tasks)[0]["results"]
    assert default["edge"] != document["results"]["edge"]


def test_protocol_of_the_successors(command, png_folder, levels, truths):
    document, output = command(png_folder, "--tasks=semseg+sal", "--protocol=successors")
    metric = SaliencyMetric("successors")
    for name, truth in truths.items():
        metric.add(np.float32(levels["sal"][name] / 255), truth["sal"][..., 0])
    assert document["results"]["sal"] == pytest.approx(metric.result(), rel=1e-6)
    assert (document["protocol"], document["choices"]) == (
        "successors",
        {"semseg_classes": "all", "sal_convention": "successors"},
    )
    assert "maxF (pooled" in output.split("other metrics")[1].split("max mIoU")[0]
    assert "S-measure" in output
    paper, _ = command(png_folder, "--tasks=semseg+sal")
    assert (paper["protocol"], paper["choices"]["sal_convention"]) == ("astmt", "astmt")
    assert paper["results"]["semseg"] == document["results"]["semseg"]
    assert paper["results"]["sal"].items() <= document["results"]["sal"].items()


def test_every_choice_is_noted(command, png_folder):
    document, _ = command(png_folder, "--tasks=edge", "--edge_truth=edges")
    assert document["choices"] == {"edge_protocol": "pascal", "edge_truth": "edges"}


def test_slice_of_a_split(command, predictions, levels, truths):
    for task in TASKS:
        for name in NAMES[1:]:
            (predictions / task / f"{name}.png").unlink()
    document, _ = command(predictions, "--split=val[:1]")
    first = {NAMES[0]: truths[NAMES[0]]}
    expected = expected_scores(levels, first)["normals"]
    assert document["results"]["normals"] == pytest.approx(expected, rel=1e-6)
    assert document["images"] == 1


def test_arrays_and_matlab_files_score_as_pictures(command, predictions, levels):
    expected, _ = command(predictions)
    for name in NAMES:
        for task in ("edge", "normals"):
            (predictions / task / f"{name}.png").unlink()
        np.save(predictions / f"edge/{name}.npy", levels["edge"][name] / 255)
        vectors = levels["normals"][name] / 127.5 - 1
        scipy.io.savemat(predictions / f"normals/{name}.mat", {"normals": vectors})
    found, _ = command(predictions)
    assert found["results"]["edge"] == expected["results"]["edge"]
    assert found["results"]["normals"] == pytest.approx(expected["results"]["normals"], rel=1e-6)


def test_image_that_is_not_labelled_needs_no_prediction(command, predictions):
    expected, _ = command(predictions)
    (predictions / f"human_parts/{WITHOUT_PERSON}.png").unlink()
    assert command(predictions)[0]["results"] == expected["results"]


def test_missing_extra_and_repeated_files_are_listed(refusal, predictions):
    (predictions / f"sal/{NAMES[0]}.png").unlink()
    (predictions / f"human_parts/{NAMES[0]}.png").unlink()
    shutil.copy(predictions / f"edge/{NAMES[0]}.png", predictions / "edge/other.png")
    (predictions / "semseg" / f"{NAMES[1]}.txt").write_text("")
    np.save(predictions / f"edge/{NAMES[1]}.npy", np.zeros((3, 3)))
    message = refusal(predictions)
    lines = message.splitlines()
    assert lines[0] == (
        f"Error: The predictions in {predictions} are not those of the split's 3 images:"
    )
    assert f"2 missing: human_parts/{NAMES[0]}, sal/{NAMES[0]}." in message
    assert "edge/other.png" in message
    assert f"semseg/{NAMES[1]}.txt" in message
    assert f"2 there more than once: edge/{NAMES[1]}.npy, edge/{NAMES[1]}.png." in message
    assert len(lines) == 4


def test_unreadable_wrong_sized_and_impossible_files_are_listed(refusal, predictions):
    (predictions / f"edge/{NAMES[0]}.png").write_bytes(b"no picture")
    picture = Image.open(predictions / f"sal/{NAMES[1]}.png")
    picture.resize((9, 11)).save(predictions / f"sal/{NAMES[1]}.png")
    message = refusal(predictions)
    assert message.splitlines()[0].startswith(f"Error: 2 predictions in {predictions} cannot")
    assert f"edge/{NAMES[0]}.png" in message
    assert "is not a JPEG, PNG or WebP picture" in message
    assert f"sal/{NAMES[1]}.png of {predictions} is 11 x 9, but its image is" in message
    assert len(message.splitlines()) == 3


def test_impossible_classes_are_named(refusal, predictions, truths):
    size = truths[NAMES[2]]["image"].shape[:2]
    Image.fromarray(np.full(size, 40, np.uint8)).save(predictions / f"semseg/{NAMES[2]}.png")
    assert f"semseg/{NAMES[2]}: prediction holds class id 40" in refusal(predictions)


def test_long_lists_are_cut(refusal, predictions):
    for number in range(LISTED + 5):
        (predictions / f"sal/extra_{number:02}.png").write_bytes(b"")
    message = refusal(predictions)
    assert f"{LISTED + 5} not of this split" in message
    assert f"sal/extra_{LISTED - 1:02}.png and 5 more." in message
    assert f"extra_{LISTED:02}" not in message


def test_resizing_on_request(command, refusal, predictions, levels, truths):
    for name in NAMES:
        for task in ("semseg", "sal"):
            values = np.kron(levels[task][name], np.ones((2, 2), np.uint8))
            Image.fromarray(values).save(predictions / task / f"{name}.png")
    assert "cannot be scored" in refusal(predictions)
    document, _ = command(predictions, "--resize")
    assert document["resized"]
    expected = expected_scores(levels, truths)
    for task in ("semseg", "sal"):  # every pixel stands for 2 x 2 equal ones
        assert document["results"][task] == pytest.approx(expected[task], rel=1e-6)


def test_interrupted_evaluation_goes_on(command, predictions, monkeypatch):
    expected, _ = command(predictions)
    seen = []

    class Interrupted(EdgeMetric):
        @property
        def counting(self):
            def count(*image):
                if len(seen) == 2:
                    raise KeyboardInterrupt
                seen.append(image)
                return original(*image)

            original = super().counting
            return Picklable(count)

    with monkeypatch.context() as patch:
        patch.setattr("astmt_jax.metrics.edges.EdgeMetric", Interrupted)
        with pytest.raises(SystemExit, match="goes on where it stopped"):
            command(predictions)
        assert (predictions / "results.unfinished").exists()
        seen[:] = [None]  # one more may be counted, which is enough
        assert command(predictions)[0] == expected
    assert not (predictions / "results.unfinished").exists()


class Picklable:
    """A function that pickles as if it were always the same."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *image):
        return self.function(*image)

    def __reduce__(self):
        return dict, ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tasks=edge+flow"], ["flow", "pascal_context has: edge"]),
        (["--split=test"], ["no split pascal_context", "test", "val"]),
        (["--dataset=imagenet"], ["'imagenet', but must be one of: scenes"]),
        (["--options=size=3"], ["size", "is not a field"]),
    ],
)
def test_misuse_ends_with_one_sentence(refusal, predictions, arguments, words):
    message = refusal(predictions, *arguments)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("--option=size=3", "there is no --option any more: say --options=NAME=VALUE,NAME=VALUE"),
        ("--tasks=edge,sal", "names are joined by +: edge+sal"),
        ("--options={'size': 3}", "is not of the form NAME=VALUE,NAME=VALUE"),
    ],
)
def test_former_spellings_are_answered_with_the_new_one(predictions, command, capsys, former, now):
    with pytest.raises(SystemExit) as caught:
        command(predictions, former)
    assert caught.value.code == 2
    assert now in capsys.readouterr().err.splitlines()[-1]


def test_what_output_names_is_not_overwritten_unasked(
    predictions, data_dir, refusal, command, tmp_path, monkeypatch
):
    """The command's own results.json is written anew."""
    output = tmp_path / "new" / "scores.json"
    options = [f"--data_dir={data_dir}", "--num_workers=1", "--dataset=pascal_context"]
    monkeypatch.setenv("HOME", str(tmp_path))
    evaluate.main([f"--predictions={predictions}", *options, "--output=~/new/scores.json"])
    before = output.read_text()
    assert f"{output} exists already" in refusal(predictions, "--tasks=edge", f"--output={output}")
    assert output.read_text() == before
    chosen = ["--tasks=sal", f"--output={output}", "--overwrite"]
    evaluate.main([f"--predictions={predictions}", *options, *chosen])
    assert list(json.loads(output.read_text())["results"]) == ["sal"]
    for task in ("sal", "edge"):
        assert list(command(predictions, f"--tasks={task}")[0]["results"]) == [task]


def test_folders_that_are_no_predictions_are_refused(refusal, predictions, tmp_path):
    assert f"There is no folder {tmp_path / 'none'}" in refusal(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "but it has no folder" in refusal(tmp_path / "empty")
    (predictions / "sal").rename(predictions / "saliency")
    assert "but it has saliency: name the tasks to score with --tasks" in refusal(predictions)
    assert "but it has no sal" in refusal(predictions, "--tasks=edge+sal")


@pytest.fixture(scope="module")
def network_scores(data_dir, tmp_path_factory):
    """Scores a network that is a function of the image's colours; also saves its predictions."""
    dataset = registry.find("pascal_context")
    source = dataset.open(data_dir, {}, "val")
    tasks = tuple(dataset.tasks({}).values())
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))

    def predict(images):
        colors = np.asarray(images) / 255
        brightness = colors.mean(axis=-1)
        return {
            "edge": brightness,
            "semseg": (20 * colors[..., 0]).astype(np.uint8),
            "human_parts": (6 * colors[..., 1]).astype(np.uint8),
            "normals": 2 * colors - 1,
            "sal": 1 - brightness,
        }

    def run(batch_size=2, num_rows=0, save_to=None, quantize=True):
        return evaluate_network(
            tasks,
            predict,
            source,
            InputSettings(batch_size, 48, "none", num_threads=1),
            quantize=quantize,
            sharding=NamedSharding(mesh, PartitionSpec("data")),
            num_rows=num_rows,
            save_to=save_to,
        )

    return run


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_scores_of_a_network_do_not_depend_on_the_batch_size(network_scores, batch_size):
    assert network_scores(batch_size).scores == network_scores(2).scores


def test_saved_predictions_score_as_the_network_does(network_scores, command, tmp_path):
    scores = network_scores(save_to=tmp_path / "saved").scores
    document, _ = command(tmp_path / "saved")
    assert document["results"] == scores.results
    assert document["details"] == scores.details


def test_quantization_changes_the_scores_a_little(network_scores):
    rounded = network_scores().scores.results
    exact = network_scores(quantize=False).scores.results
    for task in ("edge", "semseg", "human_parts"):
        assert rounded[task] == exact[task], task
    for task in ("normals", "sal"):
        assert rounded[task] != exact[task], task
        assert rounded[task] == pytest.approx(exact[task], abs=1)


def test_rows_for_a_picture_are_spread_over_the_split(network_scores, truths):
    rows = network_scores(num_rows=2).rows
    assert [row["name"] for row in rows] == [NAMES[0], NAMES[1]]
    for row in rows:
        np.testing.assert_array_equal(row["image"], truths[row["name"]]["image"])
        assert row["predictions"]["normals"].shape == row["image"].shape
        assert list(row["truths"]) == list(TASKS)


def test_truths_after_the_ignore_rules(data_dir, truths):
    """What is scored is what training sees: the maps with their unknown parts marked."""
    dataset = registry.find("pascal_context")
    tasks = tuple(dataset.tasks({}).values())
    source = dataset.open(data_dir, {}, "val")
    geometries = {task.name: task.geometry for task in tasks}
    found = list(iteration.truths(source, tasks))
    assert [example.name for example in found] == list(NAMES) == iteration.names(source)
    for example in found:
        truth = truths[example.name]
        assert example.size == truth["image"].shape[:2]
        for key, values in mark_ignored(truth, geometries).items():
            np.testing.assert_array_equal(example.truths[key], values)
        np.testing.assert_array_equal(example.truths["label_map"], truth["label_map"])
