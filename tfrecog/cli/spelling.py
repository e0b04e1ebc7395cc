"""How a person calls a command: `python -m pipelines.check` in a checkout, and elsewhere `tfrecog check`."""

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
