"""The report's page: whole, legible to machines, and in need of nothing outside itself."""

import copy
import dataclasses
import html.parser
import itertools
import pathlib
import re

import numpy as np
import pytest
from report_analysis import make_analysis

from astmt_jax.report import __main__ as command
from astmt_jax.report import blocks, details, sections
from astmt_jax.report.curves import Curve

SECTIONS = (
    "configuration", "results", "curves", "edges", "classes", "examples", "failures", "modulation",
    "discriminator", "gradients",
)  # fmt: skip
VOID = {"meta", "link", "img", "input"}


class Reader(html.parser.HTMLParser):
    """Collects a page's elements and checks that they are nested as they should be."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def source():
    return command.build(make_analysis(), pathlib.Path("runs/my run"))


@pytest.fixture(scope="module")
def analysis_of_two():
    return make_analysis("tasks=edge+semseg")


@pytest.fixture(scope="module")
def read(source):
    return Reader(source)


def test_every_section_is_there_and_linked(read):
    assert tuple(section["id"] for section in read.all("section")) == SECTIONS
    assert tuple(link["href"] for link in read.all("a")) == tuple(f"#{name}" for name in SECTIONS)
    assert len(read.all("h2")) == len(SECTIONS)


def test_page_needs_nothing_outside_itself(source, read):
    """No address but data URLs and places on the page; the browser is told to load nothing else."""
    for _, attributes in read.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    without_data = re.sub(r"data:[\w/+]+;base64,[\w+/=]*", "", source)
    assert not re.search(r"https?:|//|@import|url\(", without_data.replace("// a reloaded", ""))
    policy = read.all("meta")[2]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_page_is_legible_without_eyes_or_mouse(read):
    """Pictures have words beside them, sliders are native and named, headings are in order."""
    assert read.all("html") == [{"lang": "en"}]
    assert len(read.all("img")) > 30
    assert all(image["alt"].strip() for image in read.all("img"))
    sliders = read.all("input")
    assert len(sliders) == 7 * 3  # one image shown, the two worst of each task
    assert all(slider["type"] == "range" and slider["aria-label"] for slider in sliders)
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_names_cannot_break_the_page(source):
    assert "first &lt;image&gt;" in source
    assert "<image>" not in source


def test_page_is_the_same_every_time():
    found = make_analysis("tasks=edge+depth")
    assert len({command.build(found, pathlib.Path("runs/my run")) for _ in range(2)}) == 1


def test_scenes_have_no_published_figure(read):
    assert "There is no published figure to set beside these: none on scenes" in read.words()


def test_published_figures_stand_beside_those_of_pascal_context():
    tasks = "tasks=edge+semseg+human_parts+normals+sal"
    found = make_analysis(tasks, dataset="pascal_context")
    beside, about = sections.sections(found)[1].blocks[1:]
    ours = 100 * found.results["results"]["semseg"]["mIoU"]
    assert [row[0] for row in beside.rows[:4]] == [
        "this run",
        "ASTMT R-101, single-task networks",
        "ASTMT R-101, multi-task without ASTMT",
        "ASTMT R-101",
    ]
    assert [row[2] for row in beside.rows[:4]] == [f"{ours:.2f}", "68.30", "63.20", "68.00"]
    assert beside.headings[-3:] == ["average drop, %", "parameters", "source"]
    assert [row[-3] for row in beside.rows[:4]] == ["", "", "6.81", "0.04"]
    assert "resnet14" in about.text  # the others differ


@pytest.mark.parametrize(
    ("dataset", "options", "choices", "shown", "words"),
    [
        ("pascal_context", {}, {}, ["edge", "sal"], []),
        ("pascal_context", {}, {"sal_convention": "astmt_numpy1"}, ["edge", "sal"], []),
        ("pascal_context", {}, {"protocol": "successors"}, ["edge", "sal"], []),
        (
            "pascal_context",
            {},
            {"edge_protocol": "pascal_raw"},
            ["sal"],
            ["edge is left out: it was scored with edge_protocol=pascal_raw"],
        ),
        (
            "pascal_context",
            {},
            {"sal_convention": "successors"},
            ["edge"],
            ["sal is left out: it was scored with sal_convention=successors"],
        ),
        ("nyud", {}, {}, None, ["another protocol (successors) than these (astmt)"]),
        ("nyud", {}, {"protocol": "successors"}, None, ["are for classes=40"]),
        ("nyud", {"classes": 40}, {"protocol": "successors"}, ["edge", "depth"], []),
        (
            "nyud",
            {"classes": 40},
            {"protocol": "successors", "max_depth": 8.0, "depth_convention": "masked"},
            ["edge"],
            ["depth is left out: it was scored with depth_convention=masked and max_depth=8.0"],
        ),
    ],
)
def test_published_figures_stand_beside_their_own_convention(
    dataset, options, choices, shown, words
):
    """A table, or columns of it, are left out rather than set beside other numbers."""
    tasks = "edge+sal" if dataset == "pascal_context" else "edge+depth"
    found = make_analysis(f"tasks={tasks}", dataset, options, **choices)
    blocks_of_results = sections.sections(found)[1].blocks
    beside = [block for block in blocks_of_results[1:] if isinstance(block, blocks.Table)]
    columns = [[heading.split(" ")[0] for heading in table.headings[1:]] for table in beside]
    if shown is None:
        assert columns == []
    else:
        assert [column[: len(shown)] for column in columns] == [shown]
        others = {"edge", "depth", "sal"} - set(shown)
        assert not others & set(columns[0])
    said = " ".join(block.text for block in blocks_of_results if isinstance(block, blocks.Text))
    for sentence in words:
        assert sentence in said


def test_another_split_than_the_published_one_is_told():
    found = make_analysis("tasks=edge+semseg", "pascal_context")
    found = dataclasses.replace(found, results={**found.results, "split": "val[:100]"})
    said = [block.text for block in sections.sections(found)[1].blocks[2:]]
    assert "We scored 'val[:100]', the others 'val'." in said
    dataset = dataclasses.replace(found.config.dataset, eval_split="train")
    found = dataclasses.replace(found, config=dataclasses.replace(found.config, dataset=dataset))
    assert said == [block.text for block in sections.sections(found)[1].blocks[2:]]
    del found.results["split"]  # a file of before
    said = [block.text for block in sections.sections(found)[1].blocks[2:]]
    assert "We scored 'train', the others 'val'." in said


def test_metrics_over_training_are_shown_where_there_are_some():
    """A single point, the score at the end, is no curve."""
    found = make_analysis("tasks=edge+depth")
    steps = np.array([25, 50])
    found.curves["validation/edge_odsF"] = Curve(steps, np.array([0.2, 0.4]))
    found.curves["eval/edge_odsF"] = Curve(steps[1:], np.array([0.3]))
    (shown,) = (s for s in sections.sections(found) if s.name == "curves")
    captions = [getattr(block, "caption", "") for block in shown.blocks]
    told = [text for text in captions if "Headline metrics" in text]
    assert told == ["Headline metrics during training, on dataset.validation_split."]


def test_what_is_missing_is_said():
    found = make_analysis("tasks=edge+depth")
    measured = dataclasses.replace(found.measured, confusion=None)
    found = dataclasses.replace(found, results=None, curves={}, measured=measured)
    read = Reader(command.build(found, pathlib.Path("run")))
    for words in (
        "There is no results.json yet",
        "The folder has no event files",
        "The run was trained without a discriminator",
    ):
        assert words in read.words()
    assert len(read.all("section")) == len(SECTIONS)


def test_without_data_the_page_says_what_is_missing():
    found = dataclasses.replace(make_analysis("tasks=edge+depth"), measured=None)
    read = Reader(command.build(found, pathlib.Path("run")))
    assert read.words().count("make it again with --data_dir=DIR") == 5
    assert len(read.all("section")) == len(SECTIONS)


STRANGE = [None, 0, -1, 10**30, 1.5, True, "", "many", [], [1], [None], {}, {"a": 1}, {"a": {}}]


@pytest.mark.parametrize(
    "place",
    [
        ("edge", "curve"),
        ("edge", "curve", "f"),
        ("edge", "curve", "recall"),
        ("edge", "protocol"),
        ("edge", "protocol", "thresholds"),
        ("edge", "images"),
        ("semseg", "classes"),
        ("semseg", "classes", "sofa"),
        ("semseg", "classes", "sofa", "iou"),
        ("semseg", "classes", "sofa", "pixels"),
        ("semseg", "images"),
    ],
)
def test_results_of_another_form_are_refused_in_a_sentence(place, analysis_of_two):
    """What a stranger's results.json says is checked before it is drawn."""
    task = next(task for task in analysis_of_two.tasks if task.name == place[0])
    read = {"edge": details.edges_of, "semseg": details.classes_of}[task.name]
    messages = {}
    for value in STRANGE:
        found = copy.deepcopy(analysis_of_two.results["details"][task.name])
        inner = found
        for name in place[1:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        messages[str(value)] = refusal(read, task, found)
    assert "results.json" in messages["many"]
    assert all("results.json" in message for message in messages.values() if message)
    assert not any("\n" in message for message in messages.values())


def refusal(read, *arguments):
    """What a ValueError says; nothing where there is none."""
    try:
        read(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def test_results_of_another_checkpoint_are_called_so():
    found = dataclasses.replace(make_analysis("tasks=depth"), step=100)
    note = sections.sections(found)[1].blocks[0].text
    assert "results of step 75, but the checkpoint is of step 100" in note


def test_network_for_one_task_has_nothing_to_compare():
    words = Reader(
        command.build(make_analysis("method=single,tasks=depth"), pathlib.Path("r"))
    ).words()
    assert words.count("There is one task only.") == 2


def test_pictures_are_shrunk_to_a_data_url():
    colors = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert blocks.png_url(colors).startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workdir={0}"], "There is no run in"),
        (["--workdir={0}", "--output={0}/none/r.html"], "There is no run in"),
        (["--workdir={0}", "--output={0}"], "exists already: choose another --output"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments, words, tmp_path):
    with pytest.raises(SystemExit) as caught:
        command.main([argument.format(tmp_path) for argument in arguments])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
