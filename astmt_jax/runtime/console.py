"""The terminal: where every command prints, and how it writes a duration."""

from rich.console import Console

CONSOLE = Console(emoji=False, highlight=False, soft_wrap=True)


def format_duration(seconds: float) -> str:
    """Seconds as '1:02:03' or '2:03'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
