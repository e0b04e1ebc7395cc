"""Values of a request as they travel: base64, nested lists of pixels, elements of a tensor as bytes."""

import base64
import binascii
import itertools
from typing import Any

import numpy as np

from . import tensor_bytes
from .errors import Refused

ARTICLES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def from_base64(place: str, text: Any) -> bytes:
    """The bytes that a text stands for."""
    if not isinstance(text, str):
        raise Refused(f"{place} is {kind(text)}; expected a text, the base64 of an image file")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refused(f"{place} is not base64 ({error})") from error


def array(place: str, values: Any) -> np.ndarray:
    """Pixels in nested lists; of what type and how many is not looked at."""
    _check_numbers(place, values)
    try:
        pixels = np.array(values)
    except (ValueError, OverflowError) as error:
        raise Refused(f"{place}: the lists of pixels do not all have the same length, or hold other things") from error
    if pixels.dtype == object:
        raise Refused(f"{place}: pixels are not all numbers of 64 bits; expected whole numbers in 0..255 (uint8, RGB)")
    return pixels


def _check_numbers(place: str, values: list) -> None:
    """Refused if a text lies in nested lists: of texts NumPy makes an array as wide as the longest, of any size."""
    level = values
    while level:
        kinds = {*map(type, level)}
        if kinds & {str, dict}:
            raise Refused(
                f"{place}: pixels are something else than numbers; expected whole numbers in 0..255 (uint8, RGB)"
            )
        lists = level if kinds == {list} else [one for one in level if isinstance(one, list)] if list in kinds else []
        level = list(itertools.chain.from_iterable(lists))


def flat(data):
    """The elements of a list of V2, flat or nested as [B, 1]."""
    return [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]


def elements(raw) -> list[bytes]:
    """Elements of a tensor of files as it lies in memory."""
    try:
        return tensor_bytes.unpack(raw)
    except ValueError as error:
        raise Refused(f"the bytes of 'image_bytes' {error}") from error


def kind(value) -> str:
    """What a value of JSON is, in words."""
    return "missing" if value is None else "an empty list" if value == [] else ARTICLES[type(value)]
