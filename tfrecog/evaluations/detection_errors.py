"""errors.jpg: the surest false positives of each kind and the largest missed objects, cut out of their images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tfrecog.drawing import contact_sheet
from tfrecog.drawing.fonts import Font
from tfrecog.evaluations.misclassified import words
from tfrecog.metrics.voc_errors import MISSED, Error

SHEET, MOST = "errors.jpg", 6
CELL, LETTER, HEADING = 224, 15, 20  # pixels
FOUND, TRUE = (213, 94, 0), (0, 158, 115)  # vermilion and bluish green (Okabe and Ito 2008)
MARGIN = 0.25  # of the longer side, around what is shown
SMALLEST = 48  # side of a crop in pixels of the image, so that there is something to see around a small object
TITLES = {
    "mislocalised": "mislocalised: its class, but not its place",
    "misclassified": "misclassified: the place of another class",
    "duplicate": "duplicate: of an object found already with a higher score",
    "background": "background: neither the place nor the class of an object",
    MISSED: "missed: the largest objects that no detection finds, with what comes nearest",
}


def sheet(
    errors: Mapping[str, Sequence[Error]], names: Sequence[str], read: Callable[..., tuple[np.ndarray, str]]
) -> np.ndarray | None:
    """Sheet uint8 [H, W, 3] with a row for each kind of which there are errors; None if nothing is wrong.

    Args:
        errors: of each kind, the worst first.
        names: of the classes [K].
        read: the image uint8 [H, W, 3] of the key of an error, and its file name.
    """
    parts = []
    for kind, some in errors.items():
        if some:
            cells, captions = [], []
            for error in some:
                image, file = read(error.key)
                cells.append(crop(image, error))
                captions.append(f"{caption(error, names)}\n{Path(file).name}")
            empty = MOST - len(some)
            cells += [np.full([CELL, CELL, 3], 255, np.uint8)] * empty
            row = contact_sheet.draw(cells, MOST, captions + [""] * empty, CELL, LETTER)
            parts += [_heading([(TITLES[kind], (0, 0, 0))], row.shape[1]), row]
    if not parts:
        return None
    legend = [("the detection", FOUND), ("   the object that it overlaps most", TRUE)]
    return np.concatenate([_heading(legend, parts[0].shape[1]), *parts])


def caption(error: Error, names: Sequence[str]) -> str:
    """Two lines: the detection with its score, and the object that it overlaps with the IoU."""
    detection = words(names[error.label - 1], error.score) if error.label else "no detection"
    if not error.true_label:
        return f"{detection}\non background"
    detection += ", hits another" * error.elsewhere
    return f"{detection}\non {names[error.true_label - 1]}, IoU {error.overlap:.2f}"


def crop(image: np.ndarray, error: Error) -> np.ndarray:
    """Square uint8 [CELL, CELL, 3] of an image [H, W, 3] around both boxes, which are drawn; gray beyond its edges."""
    boxes = np.array([box for box in (error.box, error.true_box) if box is not None])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = max(int(np.ceil((high - low).max() * (1 + 2 * MARGIN))), SMALLEST)
    corner = np.floor((low + high - side) / 2).astype(int)
    (y, x), (y_end, x_end) = np.maximum(corner, 0), corner + side
    step = max(1, side // (2 * CELL))  # A large window is first made smaller by whole steps, as it lies in the image.
    page = Image.new("RGB", (-(-side // step),) * 2, (200, 200, 200))
    page.paste(
        Image.fromarray(image[y:y_end, x:x_end]).reduce(step), ((x - corner[1]) // step, (y - corner[0]) // step)
    )
    page = page.resize((CELL, CELL), Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(page)
    for box, colour in ((error.true_box, TRUE), (error.box, FOUND)):
        if box is not None:
            y1, x1, y2, x2 = (box - np.tile(corner, 2)) * CELL / side
            # White around it, so that it is seen on any ground.
            canvas.rectangle((x1 - 1, y1 - 1, max(x1, x2 - 1) + 1, max(y1, y2 - 1) + 1), outline="white", width=4)
            canvas.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
    return np.asarray(page)


def _heading(parts, width):
    """A line uint8 [h, width, 3] of texts in their colours."""
    page = Image.new("RGB", (width, HEADING + 12), "white")
    canvas, font, x = ImageDraw.Draw(page), Font(HEADING), 4.0
    for text, rgb in parts:
        font.draw(canvas, x, page.height / 2, text, rgb)
        x += font.length(text)
    return np.asarray(page)
