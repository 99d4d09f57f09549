"""What a page is made of: plain records, which the template turns into HTML."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; its first column names the rows."""

    kind: ClassVar[str] = "table"
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      source: a data URL.
      alt: what it shows, for whoever does not see it.
      caption: what stands below it.
    """

    kind: ClassVar[str] = "picture"
    source: str
    alt: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Slider:
    """Two pictures on top of each other and a slider that moves the line between them.

    Attributes:
      title: what both show.
      front: data URL of the picture on the left of the line.
      back: data URL of the picture on its right.
      labels: what the two pictures are called.
      caption: what stands below.
      legend: (CSS colour, name) of the classes that occur.
    """

    kind: ClassVar[str] = "slider"
    title: str
    front: str
    back: str
    labels: tuple[str, str]
    caption: str = ""
    legend: Sequence[tuple[str, str]] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """Blocks side by side, under a title."""

    kind: ClassVar[str] = "row"
    title: str
    blocks: Sequence["Block"]


@dataclasses.dataclass(frozen=True)
class Details:
    """Blocks that unfold under a title."""

    kind: ClassVar[str] = "details"
    title: str
    blocks: Sequence["Block"]


Block = Text | Table | Picture | Slider | Row | Details


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
      name: what links to it end in.
      title: its heading.
      blocks: its content.
    """

    name: str
    title: str
    blocks: Sequence[Block]


def png_url(colors: np.ndarray) -> str:
    """Uint8 (H, W, 3) as a data URL."""
    buffer = io.BytesIO()
    Image.fromarray(colors).save(buffer, format="PNG", optimize=True)
    return data_url(buffer.getvalue(), "image/png")


def data_url(content: bytes, media_type: str) -> str:
    """A file as a URL that holds all of it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
