"""The photos that a path or a pattern names, and one unique name for each."""

import collections
import glob
import os
import pathlib
from collections.abc import Collection


def find_photos(pattern: str, excluded: Collection[pathlib.Path] = ()) -> dict[str, pathlib.Path]:
    """The files that a command's --input names.

    Args:
      pattern: a file; a folder, of which all files below count; or a pattern of `glob`, in which
        ** stands for any number of folders. Hidden files and folders are passed over.
      excluded: folders whose files do not count.

    Returns:
      Unique name -> file, sorted. A name is the path below the folder (or the last folder that all
      matches of the pattern share) without the ending, such as 'trip/beach'; photos of one folder
      that differ in their ending only keep it ('beach.jpg', 'beach.png').

    Raises:
      FileNotFoundError: nothing is there.
    """
    path = pathlib.Path(pattern)
    if path.is_file():
        return {path.stem: path}
    if path.is_dir():
        root, files = path, [file for file in path.rglob("*") if file.is_file()]
    else:
        files = [pathlib.Path(match) for match in glob.glob(pattern, recursive=True)]
        files = [file for file in files if file.is_file()]
        root = pathlib.Path(os.path.commonpath([file.parent for file in files] or ["."]))
    outside = [folder.resolve() for folder in excluded]
    kept = [
        file
        for file in sorted(files)
        if not any(part.startswith(".") for part in file.relative_to(root).parts)
        and not any(file.resolve().is_relative_to(folder) for folder in outside)
    ]
    if not kept:
        kind = "photo in" if path.is_dir() else "file"
        raise FileNotFoundError(f"There is no {kind} {pattern}.")
    return dict(zip(unique_names([file.relative_to(root) for file in kept]), kept, strict=True))


def unique_names(paths: Collection[pathlib.Path]) -> list[str]:
    """Each path without its ending, or with it where two would have the same name."""
    names = [path.with_suffix("").as_posix() for path in paths]
    whole = [path.as_posix() for path in paths]
    while True:
        count = collections.Counter(names)
        clashing = [
            count[name] > 1 and name != full for name, full in zip(names, whole, strict=True)
        ]
        if not any(clashing):
            return names
        names = [
            full if clashes else name
            for name, full, clashes in zip(names, whole, clashing, strict=True)
        ]
