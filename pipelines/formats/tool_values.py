"""Values of JSON files as tools write them: a number may be text, an id 1.0 or "1", a flag 0, "0" or "false"."""

import math
import re
from typing import Any

LARGEST = 1e15  # a number of pixels, square ones too, is smaller; float32 and sums of it stay finite
_PLAIN = {int, float}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"([+-]?\d{1,19})(\.0*)?", re.ASCII)
_FLAGS = {"0": False, "0.0": False, "false": False, "no": False, "1": True, "1.0": True, "true": True, "yes": True}


def number(value: Any) -> float | None:
    """The number that a value is, or that its text says; None if it is none, NaN, or larger than any of an image."""
    if isinstance(value, str) and len(value) < 40 and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        return None
    return float(value)


def numbers(values: Any, count: int | None = None) -> list[float] | None:
    """The numbers of a list, of `count` if that is given; None if it is no such list."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        return None
    if values and {*map(type, values)} <= _PLAIN:  # almost always, and COCO's polygons have tens of millions
        inside = min(values) >= -LARGEST and max(values) <= LARGEST and not math.isnan(sum(values))
        return list(map(float, values)) if inside else None
    read = [number(value) for value in values]
    return None if None in read else read  # type: ignore[return-value]


def whole(value: Any) -> int | None:
    """The whole number of 64 bits that a value is, or that its text says; None if it is none."""
    if type(value) is int and -(2**63) <= value < 2**63:  # almost always, and COCO has millions of them
        return value
    if isinstance(value, str) and (text := _WHOLE.fullmatch(value.strip())):
        value = int(text[1])
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def flag(value: Any) -> bool | None:
    """Whether a flag is set; None where it is neither certainly set nor certainly not."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    if value is None or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    return None


def is_text(value: Any) -> bool:
    """Whether it is a text that can be stored: JSON may hold half of a character (a lone surrogate)."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
