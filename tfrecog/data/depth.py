"""Pictures of more than 8 bits a pixel: one range of values for each type of pixels of a data set becomes 0 to 255.

What a picture of 10, 12 or 16 bits, or of fractions, means is in no file: sensors write 12 bits into 16. A data set
has one range for all its pictures of a type, so that they keep their brightness beside each other, and prediction sees
them as training did.
"""

from collections.abc import Iterable, Mapping

import numpy as np

Range = tuple[float, float]
Ranges = Mapping[str, Range]  # by type of pixels, a key of WHOLE
WHOLE: Ranges = {"uint16": (0, 65535), "int32": (0, 65535), "float32": (0, 1)}  # where a data set has none of its own
_DEPTHS = (1, 255, 1023, 4095, 16383, 65535)  # largest values of fractions, and of 8, 10, 12, 14 and 16 bits


def of(ranges: Ranges, values: np.ndarray) -> Range:
    """The range of values of a type."""
    return ranges.get(values.dtype.name, WHOLE[values.dtype.name])


def problem(ranges: Ranges) -> str:
    """What of the ranges of a file cannot be; empty if all can."""
    for kind, (low, high) in ranges.items():
        if kind not in WHOLE or not low < high:
            return f"pixel_ranges have {kind}: {low:g} to {high:g}; they are of {', '.join(WHOLE)}, the lower end first"
    return ""


def measured(values: np.ndarray) -> Range:
    """The smallest and the largest of the values that are finite numbers; 0, 0 of none."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def union(ranges: Iterable[Range]) -> Range:
    """The range that holds all of them."""
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def chosen(kind: str, measured: Range) -> Range:
    """The range of a data set whose pixels of a type are in `measured`.

    It is 0 to the largest value of as many bits as are needed: 4,000 is of 12 bits. Few values for so many bits, such
    as fractions up to 3, or more than 16 bits, end at the largest one. Where some are negative, it is `measured`.
    """
    low, high = measured
    if low < 0:
        return low, max(high, low + 1)
    depths = _DEPTHS if kind.startswith("float") else _DEPTHS[1:]
    depth = next((depth for depth in depths if high <= depth), high)
    return 0.0, float(depth if not high or high * 4 >= depth else high)


def to_8_bits(values: np.ndarray, of_range: Range) -> np.ndarray:
    """uint8 of values: of whole numbers the upper 8 of the bits of the range, and fractions rounded; cut at both ends.

    What is not a number is 0.
    """
    low, high = of_range
    inside = np.nan_to_num(values.astype(np.float64), nan=low).clip(low, high) - low
    if values.dtype.kind == "f":
        return np.rint(inside * (255 / (high - low))).astype(np.uint8)
    return np.floor(inside * (256 / (high - low + 1))).astype(np.uint8)


def rgb(values: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Image uint8 [H, W, 3] of values [H, W] or [H, W, 3]."""
    pixels = to_8_bits(values, of(ranges, values))
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels


def beyond(values: np.ndarray, of_range: Range) -> int:
    """How many values are outside of a range, or no numbers."""
    return int(values.size - np.count_nonzero((values >= of_range[0]) & (values <= of_range[1])))
