"""Pictures of instances, true or predicted: boxes, masks, keypoints and names (Pillow)."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecog.ops import rle

MASK_OPACITY = 0.4
# Bones and joints of a body's own left and right; others have the colour of the instance.
LEFT, RIGHT = (0, 230, 100), (255, 120, 0)
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
    """
    image, labels = np.asarray(image, np.uint8), np.asarray(labels, int)
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    height, width = image.shape[:2]
    factor = enlargement(height, width, min_side)
    line = max(1, round(min(height, width) * factor / 240))
    order = _largest_first(boxes, labels)

    pixels = image.repeat(factor, 0).repeat(factor, 1)
    if masks is not None:
        for i in order:
            mask = np.asarray(masks[i])
            mask = mask.astype(bool) if mask.ndim == 2 else rle.decode(mask, height, width)
            _shade(pixels, mask.repeat(factor, 0).repeat(factor, 1), colour(labels[i], i), line)

    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    for i in order:
        top, left, bottom, right = np.round(boxes[i] * factor)
        # A box [0, W] ends between pixels W - 1 and W: its last pixel is W - 1.
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        canvas.rectangle(corners, outline=colour(labels[i], i), width=line)
    if keypoints is not None:
        sides = {left: LEFT for left, _ in flip_pairs} | {right: RIGHT for _, right in flip_pairs}
        for i in order:
            points = np.asarray(keypoints[i], float) * [factor, factor, 1]
            _draw_keypoints(canvas, points, skeleton, sides, colour(labels[i], i), line)
    taken: list[tuple[float, ...]] = []
    for i in order[::-1]:
        text = names[labels[i] - 1] if labels[i] <= len(names) else str(labels[i])
        text += "" if scores is None else f" {scores[i]:.0%}"
        taken.append(_draw_label(canvas, text, boxes[i] * factor, colour(labels[i], i), picture.size, taken))
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


def colour(label: int, instance: int = 0) -> tuple[int, int, int]:
    """RGB of a class: hues a golden section apart, and three shades for neighbours of one class."""
    hue = (int(label) * 0.61803398875) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.65, 1.0)[instance % 3], (1.0, 1.0, 0.75)[instance % 3])
    return round(255 * red), round(255 * green), round(255 * blue)


def _shade(pixels: np.ndarray, mask: np.ndarray, rgb: tuple[int, int, int], line: int) -> None:
    """Tints the pixels of a mask and draws its outline, `line` pixels wide, inside it."""
    inside = mask
    for _ in range(line):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tint = (1 - MASK_OPACITY) * pixels[mask] + MASK_OPACITY * np.array(rgb)
    pixels[mask] = np.round(tint).astype(np.uint8)
    pixels[mask & ~inside] = rgb


def _draw_keypoints(canvas, keypoints, skeleton, sides, rgb, line) -> None:
    """Draws keypoints [J, 3]; `sides` has the colours of those on the left and on the right."""
    y, x, visibility = keypoints.T - np.array([[0.5], [0.5], [0]])  # Pillow draws at the indices of pixels.
    for a, b in skeleton:
        if visibility[a] > 0 and visibility[b] > 0:
            ends = {sides.get(a, rgb), sides.get(b, rgb)} - {rgb}
            canvas.line((x[a], y[a], x[b], y[b]), fill=ends.pop() if len(ends) == 1 else rgb, width=line)
    radius = 1.5 * line
    for j in np.flatnonzero(visibility > 0):
        disc = (x[j] - radius, y[j] - radius, x[j] + radius, y[j] + radius)
        canvas.ellipse(disc, fill="white" if visibility[j] > 1 else None, outline=sides.get(j, rgb), width=line)


def _draw_label(canvas, text, box, rgb, size, taken) -> tuple[float, ...]:
    """Writes a text at a box, at the first place that no other label has; returns the rectangle it covers."""
    font = ImageFont.load_default(min(28, max(10, round(min(size) / 36))))
    margin = max(1, font.size // 8)
    width, height = font.getlength(text) + 2 * margin, font.size + 2 * margin
    y1, x1, y2, x2 = box
    places = [(y1 - height, x1), (y1, x1), (y2, x1), (y2 - height, x1), (y1 - height, x2 - width), (y1, x2)]
    rectangles = []
    for y, x in places:
        x, y = min(max(0, x), max(0, size[0] - width)), min(max(0, y), max(0, size[1] - height))
        rectangles.append((round(x), round(y), round(x + width), round(y + height)))
    spot = min(rectangles, key=lambda rectangle: sum(_overlap(rectangle, other) for other in taken))
    canvas.rectangle(spot, fill=rgb)
    # Rec. 601 luma: black text on light colours, white on dark ones.
    ink = "black" if 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 128 else "white"
    canvas.text(((spot[0] + spot[2]) / 2, (spot[1] + spot[3]) / 2), text, ink, font, anchor="mm")
    return spot


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Area that two rectangles (x1, y1, x2, y2) share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
