"""What a prepared dataset says about itself; it may be a stranger's, and chooses no types or paths.

TFDS would import whatever class features.json names, and open whatever files dataset_info.json
names. Here both are plain values: only kinds of ours and the lengths of files follow from them, and
the names of the files from the dataset's own.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from astmt_jax.datasets.maps import KINDS, StoredMap
from astmt_jax.files import storage
from astmt_jax.files.documents import parse_document
from astmt_jax.files.messages import one_line
from astmt_jax.runtime.quiet_tensorflow import tfds

INFO_FILE = "dataset_info.json"
FEATURES_FILE = "features.json"
FILE_FORMAT = "array_record"

MAX_BYTES = 2**20
"""Of each of both files, which have a few thousand."""

_TEXT = "tensorflow_datasets.core.features.text_feature.Text"
_MAP = "astmt_jax.datasets.maps.StoredMap"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_NAME = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)


def is_prepared(folder: pathlib.Path) -> bool:
    """Whether a dataset is there: TFDS renames the folder when all of it is written.

    Raises:
      ValueError: only a part of it is there.
    """
    path = folder / INFO_FILE
    if folder.exists() and not path.is_file():
        raise damaged(path, "is missing")
    return folder.exists()


def read_features(folder: pathlib.Path) -> tfds.features.FeaturesDict:
    """The features of a prepared dataset: its `name` and maps of `KINDS`.

    Raises:
      ValueError: features.json cannot be read, or is not what a preparation writes.
    """
    path = folder / FEATURES_FILE
    stored = _entry(path, _read(path), "featuresDict", "features", kind=dict)
    features = {key: _feature(path, key, stored[key]) for key in stored}
    if not (isinstance(features.get("name"), tfds.features.Text) and "image" in features):
        raise damaged(path, "lacks the name or the image of the examples")
    return tfds.features.FeaturesDict(features)


def _feature(path: pathlib.Path, key: str, stored: Any) -> tfds.features.FeatureConnector:
    if not _NAME.fullmatch(key):
        raise damaged(path, f"has a feature {_quoted(key)}")
    kind = _entry(path, stored, "pythonClassName")
    if kind == _TEXT:
        return tfds.features.Text()
    if kind != _MAP:
        raise damaged(path, f"gives {key} the type {_quoted(kind)}, which is none of ours")
    content = _parsed(path, _entry(path, stored, "jsonFeature", "json", kind=str))
    name = _entry(path, content, "kind", kind=str)
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise damaged(path, f"gives {key} the kind {_quoted(name)}, but the kinds are {known}")
    return StoredMap(name)


def read_splits(folder: pathlib.Path, dataset: str, version: str) -> tfds.core.SplitDict:
    """The splits of a prepared dataset, whose files lie in its folder under its own name.

    Raises:
      ValueError: dataset_info.json cannot be read, or is not what a preparation of this dataset and
        version writes.
    """
    path = folder / INFO_FILE
    info = _read(path)
    for key, expected in (("name", dataset), ("version", version), ("fileFormat", FILE_FORMAT)):
        found = _entry(path, info, key)
        if found != expected:
            raise damaged(path, f"has the {key} {_quoted(found)}, not {expected!r}")
    files = tfds.core.ShardedFileTemplate(folder, _TEMPLATE, dataset, filetype_suffix=FILE_FORMAT)
    splits = [_split(path, split, files) for split in _entry(path, info, "splits", kind=list)]
    if len({split.name for split in splits}) < len(splits):
        raise damaged(path, "names a split twice")
    return tfds.core.SplitDict(splits)


def _split(
    path: pathlib.Path, stored: Any, files: tfds.core.ShardedFileTemplate
) -> tfds.core.SplitInfo:
    name = _entry(path, stored, "name", kind=str)
    if not _NAME.fullmatch(name):
        raise damaged(path, f"has a split {_quoted(name)}")
    template = _entry(path, stored, "filepathTemplate")
    if template != _TEMPLATE:
        raise damaged(path, f"has the filepathTemplate {_quoted(template)}, not {_TEMPLATE!r}")
    lengths = [
        _count(path, "shardLengths", length)
        for length in _entry(path, stored, "shardLengths", kind=list)
    ]
    size = _count(path, "numBytes", _entry(path, stored, "numBytes"))
    return tfds.core.SplitInfo(name, lengths, size, files.replace(split=name))


def _count(path: pathlib.Path, key: str, value: Any) -> int:
    """A number of up to 15 digits, which is written as a string."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value):
        return int(value)
    raise damaged(path, f"has {_quoted(value)} among its {key}")


def _read(path: pathlib.Path) -> Any:
    try:
        text = storage.read_regular(path, MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise damaged(path, "is no text in UTF-8") from error
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise damaged(path, str(error)) from error
    return _parsed(path, text)


def _parsed(path: pathlib.Path, text: str) -> Any:
    try:
        return parse_document(text)
    except ValueError as error:
        raise damaged(path, f"is not sound JSON ({one_line(error, 120)})") from error


def _entry(path: pathlib.Path, document: Any, *keys: str, kind: type = object) -> Any:
    """What lies at some keys of a JSON document."""
    for key in keys:
        if not (isinstance(document, Mapping) and key in document):
            raise damaged(path, f"has no {'.'.join(keys)} where it belongs")
        document = document[key]
    if not isinstance(document, kind):
        raise damaged(path, f"has {_quoted(document)} as {'.'.join(keys)}")
    return document


def _quoted(value: Any) -> str:
    """A value of JSON, on one line and not longer than a line."""
    text = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:80]}..."


def damaged(path: pathlib.Path, problem: str) -> ValueError:
    """The error to raise about a file of a prepared dataset."""
    return ValueError(f"{path} {problem}: remove {path.parent} and prepare the dataset again.")
