"""What results.json says of a task beside its metrics, checked: the file may be a stranger's."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from astmt_jax.records import Record, build_record
from astmt_jax.tasks.task import Task

Kind = TypeVar("Kind", bound=Record)


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Of edges, one value a threshold, 0..1."""

    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f: tuple[float, ...]

    def __post_init__(self):
        lengths = {len(self.precision), len(self.recall), len(self.f)}
        values = (*self.precision, *self.recall, *self.f)
        if len(lengths) > 1 or not values or not all(0 <= value <= 1 for value in values):
            raise ValueError(
                "A precision-recall curve of results.json must have as many values of precision as "
                "of recall and f, all in 0..1."
            )


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How edges were compared, as `metrics.edges.Protocol` has it."""

    name: str
    max_dist: float
    thresholds: tuple[float, ...]
    non_maximum_suppression: bool


@dataclasses.dataclass(frozen=True)
class Edges:
    """Precision and recall of edges, the protocol, and the number of images."""

    curve: PrecisionRecall
    protocol: Protocol
    images: int


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """A class: its IoU (0 where it is undefined, as it has no pixels) and its labelled pixels."""

    iou: float
    pixels: int

    def __post_init__(self):
        if not (0 <= self.iou <= 1 and 0 <= self.pixels < 2**53):
            raise ValueError(
                f"A class of results.json has an IoU of {self.iou} and {self.pixels} pixels, but "
                "must have one in 0..1 and a number of pixels."
            )


@dataclasses.dataclass(frozen=True)
class Classes:
    """By name, the classes of a task, and the number of images."""

    classes: Mapping[str, ClassRow]
    images: int


def edges_of(task: Task, details: Mapping[str, Any]) -> Edges:
    """What the details of a task with a curve say; ValueError if they are of another form."""
    where = f"details.{task.name} of results.json"
    nested = {
        "curve": _of(PrecisionRecall, details.get("curve"), f"{where}.curve"),
        "protocol": _of(Protocol, details.get("protocol"), f"{where}.protocol"),
    }
    return Edges(**nested, images=_images(details, where))


def classes_of(task: Task, details: Mapping[str, Any]) -> Classes:
    """What the details of a task with classes say; ValueError if they are of another form."""
    where = f"details.{task.name} of results.json"
    rows = details["classes"]
    if not isinstance(rows, Mapping) or not set(rows) <= set(task.class_names):
        raise ValueError(f"{where} must have rows for classes of {task.name} only.")
    classes = {name: _class_row(row, f"{where}.{name}") for name, row in rows.items()}
    return Classes(classes, _images(details, where))


def _class_row(row: Any, where: str) -> ClassRow:
    undefined = isinstance(row, Mapping) and row.get("iou", 0) is None
    return _of(ClassRow, {**row, "iou": 0} if undefined else row, where)


def _of(kind: type[Kind], values: Any, where: str) -> Kind:
    """A record, of the fields that it has among others."""
    if isinstance(values, Mapping):
        known = {field.name for field in dataclasses.fields(kind)}
        values = {name: value for name, value in values.items() if name in known}
    return build_record(kind, values, where)


@dataclasses.dataclass(frozen=True)
class _Images:
    images: int


def _images(details: Mapping[str, Any], where: str) -> int:
    return _of(_Images, details, where).images
