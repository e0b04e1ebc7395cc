"""Lines for people, as wide as the terminal."""

import shutil
import textwrap


def say(line: str) -> None:
    """Prints a line at once, on several where the terminal is narrower; words stay whole."""
    how = {"subsequent_indent": "  ", "break_on_hyphens": False, "break_long_words": False}
    print(textwrap.fill(line, shutil.get_terminal_size().columns, **how), flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 3.5 minutes, 2.1 hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
