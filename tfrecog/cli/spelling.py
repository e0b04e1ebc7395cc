"""How a command is called, `python -m pipelines.check` here and `tfrecog check` elsewhere, and numbers of things."""

import os
import re
import sys

from tfrecog import HOME

_CALL = re.compile(r"python -m (?:tfrecog|pipelines|export)((?:\.\w+)*)\b")


def here(text: str) -> str:
    """A text with its commands called as they can be here: an installed package has pipelines and export in it."""
    if str(HOME) in map(os.path.abspath, sys.path):
        return text
    return _CALL.sub(lambda call: f"tfrecog {call[1].rpartition('.')[2]}".rstrip(), text)


def counted(count: int, one: str, several: str = "") -> str:
    """A number of things, in words: "1 class", "2,000 images"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
