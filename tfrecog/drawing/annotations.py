"""Pictures of instances, true or predicted: boxes, masks, keypoints and names (Pillow)."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfrecog.drawing import name_tags
from tfrecog.ops import rle

MASK_OPACITY = 0.4
# Bones and joints of a body's own left and right; others have the colour of the instance.
LEFT, RIGHT = (0, 230, 100), (255, 120, 0)
# Saturation and value of colours; neighbours of one class have different ones.
_SHADES = ((0.9, 1.0), (0.6, 1.0), (1.0, 0.65))
# Keypoints of detections with a lower score, the height of the heat map's peak (a logit), are not drawn: Detectron's
# choice. A peak stands out from cells around 0 by e^2, and a joint that is not in the picture stays below.
MIN_KEYPOINT_SCORE = 2.0


def instances(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None = None,
    masks: Sequence[np.ndarray] | np.ndarray | None = None,
    keypoints: np.ndarray | None = None,
    names: Sequence[str] = (),
    *,
    skeleton: Sequence[tuple[int, int]] = (),
    flip_pairs: Sequence[tuple[int, int]] = (),
    min_side: int = 0,
    letter: int = 0,
) -> np.ndarray:
    """Picture uint8 [H, W, 3] of `image` [H, W, 3] with its instances drawn on it.

    Args:
        boxes: [n, 4] y1, x1, y2, x2 in pixels.
        labels: [n], in 1..K; the padding label 0 is not drawn.
        scores: [n] in [0, 1], printed as a percentage.
        masks: of each instance, either bool [H, W] or its run lengths [runs] (column-major, zeros first).
        keypoints: [n, J, 3] y, x, visibility; 0 is not drawn, 1 (hidden) is a ring, 2 a dot.
        names: class names; `names[0]` is that of label 1. A class without a name is printed as its number.
        skeleton: pairs of keypoints (from 0) to join.
        flip_pairs: pairs of a left and a right keypoint; they and their bones are green (left) and orange (right).
        min_side: an image with a shorter side than this is enlarged by a whole factor, so that text is legible;
            the picture is then larger than the image, but its long side never exceeds ten times `min_side` for it.
        letter: height of the letters in pixels, where they have room; 0: a part of the picture's.
    """
    image, labels = np.asarray(image, np.uint8), np.asarray(labels, int)
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    height, width = image.shape[:2]
    factor = enlargement(height, width, min_side)
    order = _largest_first(boxes, labels)
    colours = _apart(boxes, labels, order)
    font = name_tags.font(height * factor, width * factor, len(order), letter)
    line = max(1, round(font.size / 7))

    pixels = image.repeat(factor, 0).repeat(factor, 1)
    if masks is not None:
        for i in order:
            mask = np.asarray(masks[i])
            mask = mask.astype(bool) if mask.ndim == 2 else rle.decode(mask, height, width)
            _shade(pixels, mask, factor, colours[i], line)

    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    for i in order:
        _draw_box(canvas, np.round(boxes[i] * factor), colours[i], line)
    if keypoints is not None:
        sides = {left: LEFT for left, _ in flip_pairs} | {right: RIGHT for _, right in flip_pairs}
        for i in order:
            points = np.asarray(keypoints[i], float) * [factor, factor, 1]
            _draw_keypoints(canvas, points, skeleton, sides, colours[i], line)
    texts = [names[label - 1] if label <= len(names) else str(label) for label in labels[order[::-1]]]
    if scores is not None:
        texts = [f"{text} {scores[i]:.0%}" for text, i in zip(texts, order[::-1], strict=True)]
    name_tags.draw(canvas, texts, boxes[order[::-1]] * factor, [colours[i] for i in order[::-1]], font)
    return np.asarray(picture)


def _largest_first(boxes, labels):
    """Positions of those that are drawn; the small ones come last, or they would be hidden."""
    order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    return order[labels[order] > 0]


def enlargement(height: int, width: int, min_side: int) -> int:
    """Whole factor that makes both sides at least `min_side`, but the longer one no more than ten times it."""
    return max(1, min(-(-min_side // max(1, min(height, width))), 10 * min_side // max(1, height, width)))


def sure_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints [n, J, 3] to draw, visible (2) or not (0), of those of detections [n, J, 3] y, x, score."""
    visibility = np.where(keypoints[..., 2:] >= MIN_KEYPOINT_SCORE, 2, 0)
    return np.concatenate([keypoints[..., :2], visibility], axis=-1)


def colour(label: int, shade: int = 0) -> tuple[int, int, int]:
    """RGB of a class: hues a golden section apart; in shades, for neighbours of one class."""
    hue = (int(label) * 0.61803398875) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, *_SHADES[shade % len(_SHADES)])
    return round(255 * red), round(255 * green), round(255 * blue)


def _apart(boxes, labels, order):
    """Colour of each instance: the first shade of its class that none of those has whose boxes meet its own."""
    shades = np.full(len(labels), -1)
    for i in order:
        meets = np.all((boxes[:, :2] <= boxes[i, 2:]) & (boxes[:, 2:] >= boxes[i, :2]), axis=1)
        counts = np.bincount(shades[meets & (labels == labels[i]) & (shades >= 0)], minlength=len(_SHADES))
        shades[i] = np.argmin(counts)
    return [colour(label, shade) for label, shade in zip(labels, shades, strict=True)]


def _shade(pixels: np.ndarray, mask: np.ndarray, factor: int, rgb: tuple[int, int, int], line: int) -> None:
    """Tints the pixels of a mask, `factor` times as large, and draws its outline, `line` pixels wide, inside it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return
    (top, bottom), (left, right) = (ends[[0, -1]] + [0, 1] for ends in (rows, columns))
    mask = mask[top:bottom, left:right].repeat(factor, 0).repeat(factor, 1)
    pixels = pixels[top * factor : bottom * factor, left * factor : right * factor]
    inside = mask
    for _ in range(line):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tint = (1 - MASK_OPACITY) * pixels[mask] + MASK_OPACITY * np.array(rgb)
    pixels[mask] = np.round(tint).astype(np.uint8)
    pixels[mask & ~inside] = rgb


def _draw_box(canvas, box, rgb, line) -> None:
    """Draws the outline of a box in whole pixels, `line` pixels wide; on thick ones a rim that is seen on any ground.

    A box [0, W] ends between pixels W - 1 and W: its last pixel is W - 1.
    """
    top, left, bottom, right = box
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    if line > 1:
        canvas.rectangle((left, top, right, bottom), outline=name_tags.ink(rgb), width=line + line // 2)
    canvas.rectangle((left, top, right, bottom), outline=rgb, width=line)


def _draw_keypoints(canvas, keypoints, skeleton, sides, rgb, line) -> None:
    """Draws keypoints [J, 3]; `sides` has the colours of those on the left and on the right.

    Thick bones and joints have the colour of the instance around them.
    """
    y, x, visibility = keypoints.T - np.array([[0.5], [0.5], [0]])  # Pillow draws at the indices of pixels.
    rim = line // 2
    bones = [(a, b) for a, b in skeleton if visibility[a] > 0 and visibility[b] > 0]
    if rim:
        for a, b in bones:
            canvas.line((x[a], y[a], x[b], y[b]), fill=rgb, width=line + 2 * rim)
    for a, b in bones:
        ends = {sides.get(a, rgb), sides.get(b, rgb)} - {rgb}
        canvas.line((x[a], y[a], x[b], y[b]), fill=ends.pop() if len(ends) == 1 else rgb, width=line)
    for j in np.flatnonzero(visibility > 0):
        for radius, outline in (*[(1.5 * line + rim, rgb)] * bool(rim), (1.5 * line, sides.get(j, rgb))):
            disc = (x[j] - radius, y[j] - radius, x[j] + radius, y[j] + radius)
            canvas.ellipse(disc, fill="white" if visibility[j] > 1 else None, outline=outline, width=line)
