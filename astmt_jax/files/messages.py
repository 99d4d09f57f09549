"""What others wrote, as part of a sentence of ours: names of files, and messages of libraries."""


def one_line(error: BaseException | str, length: int | None = None) -> str:
    """An error's message on one line, or its kind where it has none.

    Args:
      error: of whatever library.
      length: how many characters of the message are kept; None keeps all.
    """
    words = " ".join(str(error).split()) or type(error).__name__
    return words if length is None or len(words) <= length else f"{words[:length]}..."


def as_written(name: str, length: int = 200) -> str:
    """A stranger's name on one line: what a terminal would act upon is shown by its code.

    Args:
      name: of a file, a folder or an entry.
      length: how many characters of it are kept.
    """
    kept = name if len(name) <= length else f"{name[:length]}..."
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in kept
    )
