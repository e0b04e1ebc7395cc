"""Facts about masks kept as COCO run lengths, and run lengths from the shapes COCO files hold."""

import numpy as np
from pycocotools import mask as coco_mask


def area(runs: np.ndarray) -> int:
    """Pixels of the mask."""
    return int(np.sum(runs[1::2]))


def box(runs: np.ndarray, height: int) -> tuple[int, int, int, int]:
    """Tight box (y1, x1, y2, x2) around the mask; zeros if it is empty."""
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return 0, 0, 0, 0
    first, last = starts // height, (stops - 1) // height
    x1, x2 = int(first[0]), int(last[-1]) + 1
    # A run that goes on into the next column covers the bottom row and the top row.
    if np.any(first != last):
        return 0, x1, height, x2
    return int((starts % height).min()), x1, int(((stops - 1) % height).max()) + 1, x2


def of_polygons(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    """Run lengths of the union of polygons [x, y, x, y, ...], by COCO's own rule."""
    return of_string(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))["counts"])


def of_string(text: bytes | str) -> np.ndarray:
    """Run lengths from COCO's compressed string: 5 bits a character, from the third on differences to the last but one.

    Raises:
        ValueError: The string is cut off or has characters that do not occur in such strings.
    """
    runs, value, shift = [], 0, 0
    for character in text.encode() if isinstance(text, str) else text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError(f"character {chr(character)!r} in compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return np.array(runs, np.int64)
