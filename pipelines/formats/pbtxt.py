"""Label maps of the TensorFlow Object Detection API."""

import re

from tfrecog.cli import files
from tfrecog.data import info

from ..build.problems import Refused


def read(path: str) -> tuple[info.Category, ...]:
    """Categories of a label map (pbtxt), by id; display names before names."""
    text = re.sub(r"^\s*#.*$", "", files.read_text(path, "a label map (pbtxt)"), flags=re.MULTILINE)
    categories = []
    for item in re.findall(r"item\s*:?\s*\{((?:[^{}\"']|\"[^\"]*\"|'[^']*'|\{[^{}]*\})*)\}", text):
        number = re.search(r"\bid\s*:\s*(\d+)", item)
        names = [re.search(rf"\b{key}\s*:\s*(?:\"([^\"]*)\"|'([^']*)')", item) for key in ("display_name", "name")]
        found = next((match for match in names if match), None)
        if not number or not found:
            raise Refused(f"{path}: an item has no id or no name: {item.strip()!r}")
        if int(number[1]) > 0:  # 0 is the background, which some maps list
            categories.append(info.Category(found[1] or found[2] or "", int(number[1])))
    if not categories:
        raise Refused(f"{path} has no items; a label map is a list of: item {{ id: 1 name: 'cat' }}")
    if len({category.id for category in categories}) < len(categories):
        raise Refused(f"{path}: two items have the same id")
    return tuple(sorted(categories, key=lambda category: category.id))
