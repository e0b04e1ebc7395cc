"""Names at boxes: as large as the picture asks for, inside it, and apart from each other (Pillow)."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

from tfrecog.drawing.fonts import Font

Colour = tuple[int, int, int]
_SMALLEST = 10  # pixels: smaller letters are not legible
_OF_SIDE = 36  # letters are this part of the shorter side, ...
_OF_AREA = 30  # ... or smaller: this many letters' squares, of a name and the room around it, for each fit in


def font(height: int, width: int, count: int, letter: float = 0) -> Font:
    """The letters of so many names in a picture of a size; `letter` pixels high where there is room, 0: as it asks."""
    return Font(max(_SMALLEST, min(letter or min(height, width) / _OF_SIDE, _room(height, width, count))))


def draw(
    canvas: ImageDraw.ImageDraw, texts: Sequence[str], boxes: np.ndarray, colours: Sequence[Colour], font: Font
) -> None:
    """Writes a text at each of the boxes [n, 4] in pixels, on its colour, each where it covers least of those before.

    Where there is no room for all of them, those that are wider than their boxes are cut short.
    """
    margin, (width, height) = max(1, font.size // 8), canvas.im.size
    tall, crowded = font.height, _room(height, width, len(texts)) < _SMALLEST
    taken = np.zeros([len(texts), 4])
    for i, (text, box, rgb) in enumerate(zip(texts, boxes, colours, strict=True)):
        text = font.shortened(text, min(width - 2 * margin, max(box[3] - box[1], 5 * font.size) if crowded else width))
        wide = math.ceil(font.length(text)) + 2 * margin
        places = _inside(_around(box, tall, wide), height, width)
        taken[i] = spot = places[np.argmin(_covered(places, taken[:i]))]
        top, left, bottom, right = map(int, spot)
        canvas.rectangle((left, top, right - 1, bottom - 1), fill=rgb)
        font.draw(canvas, left + margin, (top + bottom) / 2, text, ink(rgb))


def ink(rgb: Colour) -> str:
    """What is legible on a colour: black on light ones, white on dark ones."""
    return "black" if 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 128 else "white"  # Rec. 601 luma


def _room(height, width, count):
    """Size of letters for which there is room for so many names, in pixels."""
    return math.sqrt(height * width / _OF_AREA / max(1, count))


def _around(box, tall, wide):
    """Places [n, 4] for a name of a height and width at a box, the best ones first."""
    y1, x1, y2, x2 = box
    lefts = (x1, x2 - wide, (x1 + x2 - wide) / 2)
    rows = (y1 - tall, y1, y2, y2 - tall, y1 + tall, y2 - 2 * tall, y1 - 2 * tall, y2 + tall)
    edges = [(y, x) for y in rows for x in lefts]
    sides = [(y, x) for x in (x2, x1 - wide) for y in (y1, y2 - tall, (y1 + y2 - tall) / 2)]
    corners = np.array(edges + sides)
    return np.concatenate([corners, corners + np.array([tall, wide])], axis=1)


def _inside(places, height, width):
    """The same places, whole pixels and moved into a picture."""
    size = places[:, 2:] - places[:, :2]
    start = np.clip(np.round(places[:, :2]), 0, np.maximum(0, [height, width] - size))
    return np.concatenate([start, start + size], axis=1)


def _covered(places, taken):
    """Pixels of the taken places [m, 4] that each of the places [n, 4] covers."""
    shared = np.minimum(places[:, None, 2:], taken[:, 2:]) - np.maximum(places[:, None, :2], taken[:, :2])
    return np.prod(np.maximum(shared, 0), axis=2).sum(axis=1)
