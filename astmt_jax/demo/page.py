"""The demo's page and what happens on it."""

import dataclasses
import html
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
import numpy as np

from astmt_jax.demo.performance import Performer
from astmt_jax.demo.uploads import overlay, read_upload
from astmt_jax.pictures.photos import PhotoError
from astmt_jax.runtime.console import legible
from astmt_jax.tasks.task import Task
from astmt_jax.trained_model import Model

INTRODUCTION = """<h1>{name}</h1>
<p>One network, {tasks}: the shared weights perform one task at a time, each with its own modulation
(batch norm, squeeze-and-excitation, adapters). Drop a photo or pick an example.</p>"""
TIMES = """| task | modulation of | time without compilation |
| --- | --- | ---: |
"""
WRONG_MODULATION = "Use the wrong task's modulation"
WHOSE = "Whose modulation all tasks get then"
OPACITY = "Prediction over photo"
IMAGE_HEIGHT = 260
STYLE = """
.tasks { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); }
.tasks img, #photo img { width: 100%; height: 100%; object-fit: contain; }
.tasks img, #photo img { image-rendering: pixelated; }
"""
"""CSS: small pictures fill their frames, with square pixels."""
KEPT_SECONDS = 3600
"""How long the server keeps a visitor's photo and predictions."""
CACHE = (600, KEPT_SECONDS)
"""Seconds between clean-ups of the server's temporary files, and the age at which they go."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a visitor sees.

    Attributes:
      photo: uint8 (H, W, 3); None before there is one.
      colors: by task, its prediction in colours.
    """

    photo: np.ndarray | None = None
    colors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


def build(
    model: Model, name: str, examples: Sequence[tuple[np.ndarray, str]], performer: Performer
) -> gr.Blocks:
    """The page.

    Args:
      model: what is shown.
      name: of its folder.
      examples: photos uint8 (H, W, 3) to pick from, and their names.
      performer: of the model's tasks.
    """
    names = list(model.network.names)
    readable = [_readable(task) for task in names]
    choices = list(zip(readable, names, strict=True))
    with gr.Blocks(analytics_enabled=False, title="astmt_jax demo", delete_cache=CACHE) as page:
        gr.HTML(INTRODUCTION.format(name=as_text(name), tasks=as_text(", ".join(readable))))
        shown = gr.State(Shown(), time_to_live=KEPT_SECONDS)
        with gr.Row():
            photo = gr.Image(
                label="Photo",
                sources=["upload", "clipboard"],
                type="filepath",
                height=IMAGE_HEIGHT,
                elem_id="photo",
                buttons=[],
            )
            gallery = gr.Gallery(
                value=list(examples),
                label="Examples",
                columns=3,
                height=IMAGE_HEIGHT,
                allow_preview=False,
                interactive=False,
                visible=bool(examples),
                elem_id="examples",
                buttons=[],
            )
            with gr.Column():
                wrong = gr.Checkbox(label=WRONG_MODULATION, elem_id="wrong")
                modulation = gr.Dropdown(
                    choices, value=names[0], label=WHOSE, interactive=True, elem_id="modulation"
                )
                opacity = gr.Slider(0, 1, 1, step=0.05, label=OPACITY, elem_id="opacity")
        with gr.Row(elem_classes="tasks"):
            pictures = [_picture(task) for task in model.tasks]
        times = gr.Markdown(elem_id="times")

        def perform(
            now: Shown,
            wrong: bool,
            modulation: str,
            opacity: float,
            progress=gr.Progress(),  # noqa: B008
        ) -> Iterator[tuple]:
            chosen = modulation if wrong else None
            yield from _performed(performer, names, now, chosen, opacity, progress)

        def blend(now: Shown, opacity: float) -> list:
            return [_blended(now, task, opacity) for task in names]

        settings = [shown, wrong, modulation, opacity]
        results = [shown, times, *pictures]
        run = {
            "fn": perform, "inputs": settings, "outputs": results, "api_visibility": "private",
            "show_progress_on": [photo], "concurrency_limit": 1,
        }  # fmt: skip
        hidden = {"api_visibility": "private", "show_progress": "hidden"}
        # Gradio would open the file itself and show its own errors: preprocess=False leaves the
        # reading to us. That the file was uploaded is checked all the same.
        taken = photo.upload(_take, photo, shown, preprocess=False, **hidden)
        taken.success(**run)
        taken.failure(Shown, None, shown, **hidden).success(**run)
        photo.clear(Shown, None, shown, **hidden).success(**run)
        gallery.select(_picker(examples), None, [shown, photo], **hidden).success(**run)
        for control in (wrong, modulation):
            control.input(**run)
        opacity.input(blend, [shown, opacity], pictures, trigger_mode="always_last", **hidden)
    page.queue(default_concurrency_limit=2, max_size=32, api_open=False)
    return page


def as_text(name: str) -> str:
    """HTML that shows a text, such as the name of a file, as it is written."""
    return html.escape(legible(name))


def _picture(task: Task) -> gr.Image:
    return gr.Image(
        label=_readable(task.name),
        interactive=False,
        format="png",
        height=IMAGE_HEIGHT,
        min_width=200,
        elem_id=f"task-{task.name}",
        buttons=["download", "fullscreen"],
    )


def _readable(task: str) -> str:
    return task.replace("_", " ")


def _take(upload: dict[str, Any] | None) -> Shown:
    """The photo of an upload, which Gradio has checked to be one."""
    if upload is None:
        return Shown()
    path = pathlib.Path(upload["path"])
    try:
        return Shown(read_upload(path, upload.get("orig_name") or "The file"))
    except PhotoError as error:
        raise gr.Error(as_text(str(error))) from error


def _picker(examples: Sequence[tuple[np.ndarray, str]]) -> Any:
    def pick(event: gr.SelectData) -> tuple[Shown, np.ndarray]:
        if not isinstance(event.index, int) or not 0 <= event.index < len(examples):
            raise gr.Error("There is no such example.")
        photo = examples[event.index][0]
        return Shown(photo), photo

    return pick


def _performed(
    performer: Performer,
    names: Sequence[str],
    shown: Shown,
    modulation: str | None,
    opacity: float,
    progress: gr.Progress,
) -> Iterator[tuple]:
    """The page's state, the table of times and all pictures, after each task anew."""
    colors, times = {}, TIMES
    if shown.photo is None:
        yield Shown(), "", *[None] * len(names)
        return
    progress((0, len(names)), desc="the first photo of a shape takes longer")
    for done in performer.perform(shown.photo, modulation or None):
        colors[done.task] = done.colors
        times += f"| {done.task} | {modulation or done.task} | {1000 * done.seconds:.0f} ms |\n"
        progress((len(colors), len(names)), desc=_readable(done.task))
        now = Shown(shown.photo, dict(colors))
        yield now, times, *[_blended(now, name, opacity) for name in names]


def _blended(shown: Shown, task: str, opacity: float) -> np.ndarray | None:
    """A task's picture; None before there is one."""
    if shown.photo is None or task not in shown.colors:
        return None
    return overlay(shown.photo, shown.colors[task], opacity)
