"""The demo's page and what happens on it."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
import numpy as np

from astmt_jax.datasets import registry
from astmt_jax.demo import legends
from astmt_jax.demo.examples import Example
from astmt_jax.demo.legends import as_text
from astmt_jax.demo.performance import Performer
from astmt_jax.demo.shown import Shown, performed
from astmt_jax.demo.uploads import read_upload
from astmt_jax.pictures.photos import PhotoError
from astmt_jax.tasks.task import Task
from astmt_jax.trained_model import Model

INTRODUCTION = """<h1>One network, {count}</h1>
<p>The network <strong>{name}</strong> looks at a photo and performs one task at a time. Its weights
are shared by all tasks; each task modulates them in its own way (batch norm, squeeze-and-excitation
and adapters). Drop a photo, or pick an example.</p>
<p>Training data: {data}</p>"""
WRONG_MODULATION = "Use the wrong task's modulation"
WHAT_IS_WRONG = "All tasks get the modulation of one. What then goes wrong is what their own did."
WHOSE = "Whose modulation all tasks get"
OPACITY = "Prediction over photo"
OPACITY_INFO = "0 shows the photo, 1 the prediction."
IMAGE_HEIGHT = 240
KEPT_SECONDS = 3600
"""How long the server keeps a visitor's photo and predictions."""
CACHE = (600, KEPT_SECONDS)
"""Seconds between clean-ups of the server's temporary files, and the age at which they go."""
HIDDEN = {"api_visibility": "private", "show_progress": "hidden"}


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the page consists of; pictures and legends are by task."""

    photo: gr.Image
    gallery: gr.Gallery
    wrong: gr.Checkbox
    modulation: gr.Dropdown
    opacity: gr.Slider
    times: gr.Markdown
    pictures: dict[str, gr.Image]
    legends: dict[str, gr.HTML]


def build(model: Model, name: str, examples: Sequence[Example], performer: Performer) -> gr.Blocks:
    """The page, with the first example performed.

    Args:
      model: what is shown.
      name: of its folder.
      examples: photos to pick from.
      performer: of the model's tasks.
    """
    opening = Shown()
    for photo, _ in examples[:1]:
        *_, opening = performed(performer, model.tasks, photo)
    with gr.Blocks(
        analytics_enabled=False, title="astmt_jax demo", fill_width=True, delete_cache=CACHE
    ) as page:
        gr.HTML(_introduction(model, name))
        parts = _lay_out(model.tasks, opening, examples)
        _connect(page, parts, opening, examples, _performing(performer, model.tasks))
    page.queue(default_concurrency_limit=2, max_size=32, api_open=False)
    return page


def _lay_out(tasks: Sequence[Task], opening: Shown, examples: Sequence[Example]) -> Parts:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            photo, gallery = _input(opening, examples)
            wrong, modulation, opacity = _controls(tasks)
        with gr.Column(scale=3, min_width=280):
            with gr.Row(elem_id="panels"):
                panels = {task.name: _panel(task, opening) for task in tasks}
            times = gr.Markdown(opening.times, elem_id="times")
    pictures = {name: picture for name, (picture, _) in panels.items()}
    explained = {name: legend for name, (_, legend) in panels.items()}
    return Parts(photo, gallery, wrong, modulation, opacity, times, pictures, explained)


def _connect(
    page: gr.Blocks,
    parts: Parts,
    opening: Shown,
    examples: Sequence[Example],
    perform: Callable[..., Iterator[tuple]],
) -> None:
    """Says what happens when something is done on the page.

    Only what takes photos writes which is the last, and only what performs writes what is shown:
    a photo that comes while another is performed is the next.
    """
    # The opening is no initial value: a visitor's state that was forgotten would return to it.
    last = gr.State(None, time_to_live=KEPT_SECONDS)
    shown = gr.State(Shown(), time_to_live=KEPT_SECONDS)
    page.load(lambda: (opening.photo, opening), None, [last, shown], **HIDDEN)
    run = {
        "fn": perform,
        "inputs": [last, parts.wrong, parts.modulation, parts.opacity],
        "outputs": [shown, parts.times, *parts.pictures.values(), *parts.legends.values()],
        "api_visibility": "private", "show_progress_on": [parts.photo], "concurrency_limit": 1,
        "trigger_mode": "always_last",
    }  # fmt: skip
    # Gradio would open the file itself and show its own errors: preprocess=False leaves the
    # reading to us. That the file was uploaded is checked all the same.
    taken = parts.photo.upload(_take, parts.photo, last, preprocess=False, **HIDDEN)
    picked = parts.gallery.select(_picker(examples), None, [last, parts.photo], **HIDDEN)
    cleared = parts.photo.clear(lambda: None, None, last, **HIDDEN)
    for done in (taken, picked, cleared, taken.failure(lambda: None, None, last, **HIDDEN)):
        done.success(**run)
    for control in (parts.wrong, parts.modulation):
        control.input(**run)
    parts.opacity.input(
        lambda now, opacity: [now.blended(name, opacity) for name in parts.pictures],
        [shown, parts.opacity],
        list(parts.pictures.values()),
        trigger_mode="always_last",
        **HIDDEN,
    )


def _introduction(model: Model, name: str) -> str:
    count = len(model.tasks)
    config = model.config.dataset
    data = registry.find(config.name).describe(config.options)
    return INTRODUCTION.format(
        count=f"{count} tasks" if count > 1 else "one task", name=as_text(name), data=as_text(data)
    )


def _input(opening: Shown, examples: Sequence[Example]) -> tuple[gr.Image, gr.Gallery]:
    """The photo, and the examples below it."""
    photo = gr.Image(
        opening.photo,
        label="Photo",
        sources=["upload", "clipboard"],
        type="filepath",
        height=IMAGE_HEIGHT,
        elem_id="photo",
        buttons=[],
    )
    gallery = gr.Gallery(
        list(examples),
        label="Examples",
        columns=3,
        height=min(2, -(-len(examples) // 3)) * 100 + 20,
        allow_preview=False,
        interactive=False,
        visible=bool(examples),
        elem_id="examples",
        buttons=[],
    )
    return photo, gallery


def _controls(tasks: Sequence[Task]) -> tuple[gr.Checkbox, gr.Dropdown, gr.Slider]:
    """What changes the predictions, and how they are laid over the photo."""
    opacity = gr.Slider(0, 1, 1, step=0.05, label=OPACITY, info=OPACITY_INFO, elem_id="opacity")
    wrong = gr.Checkbox(label=WRONG_MODULATION, info=WHAT_IS_WRONG, elem_id="wrong")
    choices = [(legends.title(task), task.name) for task in tasks]
    modulation = gr.Dropdown(
        choices,
        value=tasks[0].name,
        label=WHOSE,
        interactive=True,
        visible=False,
        elem_id="modulation",
    )
    wrong.change(lambda on: gr.Dropdown(visible=on), wrong, modulation, **HIDDEN)
    return wrong, modulation, opacity


def _panel(task: Task, opening: Shown) -> tuple[gr.Image, gr.HTML]:
    """A task: what it shows, its picture, and what the colours mean."""
    with gr.Column(min_width=0):
        gr.HTML(legends.heading(task), elem_classes="about")
        picture = gr.Image(
            opening.blended(task.name, 1),
            label=legends.title(task),
            show_label=False,
            interactive=False,
            format="png",
            min_width=0,
            elem_id=f"task-{task.name}",
            buttons=["download", "fullscreen"],
            alt_text=f"{legends.title(task)}, as predicted",
        )
        explained = gr.HTML(
            opening.legends.get(task.name, ""), elem_classes="colors", elem_id=f"colors-{task.name}"
        )
    return picture, explained


def _take(upload: dict[str, Any] | None) -> np.ndarray | None:
    """The photo of an upload, which Gradio has checked to be one."""
    if upload is None:
        return None
    path = pathlib.Path(upload["path"])
    try:
        return read_upload(path, upload.get("orig_name") or "The file")
    except PhotoError as error:
        raise gr.Error(as_text(str(error))) from error


def _picker(examples: Sequence[Example]) -> Callable[[gr.SelectData], tuple]:
    def pick(event: gr.SelectData) -> tuple:
        if not isinstance(event.index, int) or not 0 <= event.index < len(examples):
            raise gr.Error("There is no such example.")
        photo, _ = examples[event.index]
        return photo, photo

    return pick


def _performing(performer: Performer, tasks: Sequence[Task]) -> Callable[..., Iterator[tuple]]:
    """What yields what is shown, the table of times, all pictures and legends, task by task.

    A picture is sent once: Gradio would write its file anew while the browser reads it.
    """

    def values(shown: Shown, opacity: float, performing: Sequence[str]) -> tuple:
        pictures = [shown.blended(name, opacity) for name in performing]
        explained = [shown.legends.get(name, "") for name in performing]
        kept = [gr.skip()] * (len(tasks) - len(performing))
        return shown, shown.times, *kept, *pictures, *kept, *explained

    def perform(
        photo: np.ndarray | None,
        wrong: bool,
        modulation: str,
        opacity: float,
        progress=gr.Progress(),  # noqa: B008
    ) -> Iterator[tuple]:
        names = [task.name for task in tasks]
        if photo is None:
            yield values(Shown(), opacity, names)
            return
        progress((0, len(tasks)), desc="the first photo of a shape takes longer")
        chosen = modulation if wrong else None
        for done, shown in enumerate(performed(performer, tasks, photo, chosen or None)):
            progress((done + 1, len(tasks)), desc=legends.title(tasks[done]))
            yield values(shown, opacity, names[done:])

    return perform
