"""Contact sheets: pictures of any sizes side by side, with captions (Pillow)."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfrecog.drawing.fonts import Font


def draw(
    images: Sequence[np.ndarray],
    columns: int = 4,
    captions: Sequence[str] | None = None,
    cell: int = 0,
    letter: int = 0,
) -> np.ndarray:
    """Contact sheet uint8 [H, W, 3] of pictures uint8 [h, w, 3] of any sizes, each in a column of width `cell`.

    Pictures are made smaller to fit, never larger except by a whole factor. `cell` 0: the longest side of them all,
    at most 640. Captions may have several lines, of letters `letter` pixels high; 0: a 24th of a cell.
    """
    if not len(images):
        raise ValueError("a contact sheet needs at least one picture")
    cell = cell or min(640, max(max(image.shape[:2]) for image in images))
    font = Font(letter or min(24, max(10, cell // 24)))
    gap = max(2, cell // 64)
    line = round(font.height * 1.1)
    caption_height = 0 if captions is None else line * max(caption.count("\n") + 1 for caption in captions)
    columns = min(columns, len(images))
    pictures = [fitted(Image.fromarray(image), cell) for image in images]
    heights = [max(picture.height for picture in pictures[i : i + columns]) for i in range(0, len(images), columns)]
    tops = [gap + sum(heights[:row]) + row * (gap + caption_height) for row in range(len(heights))]
    page_height = tops[-1] + heights[-1] + caption_height + gap
    page = Image.new("RGB", (columns * (cell + gap) + gap, page_height), "white")
    canvas = ImageDraw.Draw(page)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        y, x = tops[row], gap + column * (cell + gap)
        page.paste(picture, (x, y + heights[row] - picture.height))  # On its caption.
        if captions is not None:
            for place, text in enumerate(captions[i].split("\n")):
                middle = y + heights[row] + (place + 0.5) * line
                font.draw(canvas, x, middle, font.shortened(text, cell), "black")
    return np.asarray(page)


def fitted(picture: Image.Image, cell: int) -> Image.Image:
    """A picture, smaller or a whole factor larger, so that its longer side is at most `cell`."""
    scale = cell / max(picture.size)
    if scale >= 2:
        return picture.resize((picture.width * int(scale), picture.height * int(scale)), Image.Resampling.NEAREST)
    if scale < 1:
        return picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    return picture
