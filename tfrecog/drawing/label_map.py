"""Pictures of label maps, true or predicted, and their legends (Pillow)."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfrecog.drawing import annotations
from tfrecog.drawing.fonts import Font

OPACITY = 0.5  # of the colours inside the outlines


def draw(
    image: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] = (),
    colours: Sequence[tuple[int, int, int] | None] = (),
    *,
    min_side: int = 0,
) -> np.ndarray:
    """Picture uint8 [h, W, 3] of `image` [H, W, 3] in the colours of its classes, each with an outline.

    Args:
        labels: [H, W] of the pixels, in 1..K; 0, which does not count, is hatched.
        names: class names; `names[0]` is that of label 1. With them a `legend` stands below the picture.
        colours: RGB of the classes; that of label 1 is `colours[0]`. One that is None or missing is `class_colour`.
        min_side: an image with a shorter side than this is enlarged; see `annotations.instances`.
    """
    image, labels = np.asarray(image, np.uint8), np.asarray(labels, int)
    if image.shape[:2] != labels.shape:
        raise ValueError(f"a label map of {labels.shape} pixels is not one of a picture of {image.shape[:2]}")
    factor = annotations.enlargement(*labels.shape, min_side)
    pixels, places = image.repeat(factor, 0).repeat(factor, 1), labels.repeat(factor, 0).repeat(factor, 1)
    tints = palette(int(labels.max(initial=0)), colours)[places]
    line = max(1, round(min(places.shape) / 400))
    # A class is tinted more lightly where the same one is on all sides; no line stands around what does not count.
    inside = (places == 0) | _alike(places, line)
    share = np.where(inside, OPACITY, 1.0)[..., None]
    drawn = np.round((1 - share) * pixels + share * tints)
    drawn = np.where((places == 0)[..., None], _hatched(pixels, 3 * line), drawn).astype(np.uint8)
    if not len(names):
        return drawn
    return np.concatenate([drawn, legend(labels, names, colours, width=drawn.shape[1])])


def legend(
    labels: np.ndarray,
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int] | None] = (),
    *,
    width: int,
    predicted: np.ndarray | None = None,
) -> np.ndarray:
    """Picture uint8 [h, width, 3] of the classes in a label map [H, W], the largest first: colour, name, share.

    Args:
        names, colours: as of `draw`.
        predicted: [H, W], a second label map; each class then has its share in both.
    """
    maps = [np.asarray(one, int).ravel() for one in (labels, predicted) if one is not None]
    counts = np.stack([np.bincount(one, minlength=len(names) + 1) for one in maps]).astype(float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    present = [i for i in np.argsort(-shares.max(axis=0), kind="stable") if shares[:, i].any()]
    tints = palette(counts.shape[1] - 1, colours)
    font = Font(max(11, width / 64))
    swatch, gap, line = font.size, max(4, font.size // 2), round(font.size * 1.5)

    known = ["not counted", *names, *map(str, range(len(names) + 1, counts.shape[1]))]
    texts = [f"{known[i]} {' / '.join(_percent(share) for share in shares[:, i])}" for i in present]
    widest = max([font.length(text) for text in texts] + [1])
    columns = int(max(1, min((width - gap) // (swatch + widest + 3 * gap), len(texts))))
    rows = -(-len(texts) // columns)
    step = (width - gap) / columns
    page = Image.new("RGB", (width, rows * line + gap), "white")
    canvas = ImageDraw.Draw(page)
    for place, (i, text) in enumerate(zip(present, texts, strict=True)):
        column, row = divmod(place, rows)
        x, y = round(gap + column * step), gap // 2 + row * line + (line - swatch) // 2
        patch = np.full([swatch, swatch, 3], tints[i] if i else 255, np.uint8)
        page.paste(Image.fromarray(patch if i else _hatched(patch, max(2, swatch // 5))), (x, y))
        canvas.rectangle((x, y, x + swatch - 1, y + swatch - 1), outline="black")
        room = round(step - swatch - 2 * gap)
        font.draw(canvas, x + swatch + gap, y + swatch / 2, font.shortened(text, room), "black")
    return np.asarray(page)


def class_colour(label: int) -> tuple[int, int, int]:
    """RGB of a class in label maps, where its data have none."""
    # Labels 5, 8, 13 and 21 apart have like hues, and so other shades.
    return annotations.colour(label, label + label // 21)


def palette(highest: int, colours: Sequence[tuple[int, int, int] | None] = ()) -> np.ndarray:
    """RGB uint8 [highest + 1, 3] of the labels; the first, of what does not count, is black. See `draw`."""
    own = [colours[label - 1] if label <= len(colours) else None for label in range(1, highest + 1)]
    return np.array([(0, 0, 0), *(rgb or class_colour(label) for label, rgb in enumerate(own, 1))], np.uint8)


def _alike(labels, distance):
    """bool [H, W]: whether all pixels within a distance (of steps up, down, left, right) have the same label."""
    alike = np.ones(labels.shape, bool)
    for _ in range(distance):
        # A pixel is out once one beside it has another label or is out; the frame of the picture is no outline.
        near, kept = np.pad(labels, 1, mode="edge"), np.pad(alike, 1, constant_values=True)
        for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
            window = np.s_[y : y + labels.shape[0], x : x + labels.shape[1]]
            alike = alike & (near[window] == labels) & kept[window]
    return alike


def _hatched(pixels, step):
    """Dark diagonal stripes over pixels [H, W, 3], which show darkly between them."""
    y, x = np.indices(pixels.shape[:2])
    stripe = ((x + y) // step % 2 == 0)[..., None]
    return np.where(stripe, 0, np.round(0.55 * pixels)).astype(np.uint8)


def _percent(share):
    return f"{100 * share:.1f}%" if share >= 0.001 or share == 0 else "<0.1%"
