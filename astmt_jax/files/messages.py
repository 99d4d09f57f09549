"""What other libraries say about an error, as part of a sentence of ours."""


def one_line(error: BaseException | str, length: int | None = None) -> str:
    """An error's message on one line, or its kind where it has none.

    Args:
      error: of whatever library.
      length: how many characters of the message are kept; None keeps all.
    """
    words = " ".join(str(error).split()) or type(error).__name__
    return words if length is None or len(words) <= length else f"{words[:length]}..."
