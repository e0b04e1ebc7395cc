"""Pictures of instances and of label maps, true or said, and contact sheets of pictures (Pillow)."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecog.ops import rle

MASK_OPACITY = 0.4
LABEL_OPACITY = 0.5
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
    masks: Sequence[np.ndarray] | None = None,
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
    image, boxes, labels = np.asarray(image, np.uint8), np.asarray(boxes, float), np.asarray(labels, int)
    height, width = image.shape[:2]
    factor = enlargement(height, width, min_side)
    line = max(1, round(min(height, width) * factor / 240))
    # Large instances first: what is small would be hidden under them.
    extents = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) if len(boxes) else np.zeros(0)
    order = [i for i in np.argsort(-extents, kind="stable") if labels[i] > 0]

    pixels = image.repeat(factor, 0).repeat(factor, 1)
    if masks is not None:
        pixels = pixels.copy()
        for i in order:
            mask = _dense(masks[i], height, width).repeat(factor, 0).repeat(factor, 1)
            _shade(pixels, mask, colour(labels[i], i), line)

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
    font = ImageFont.load_default(min(28, max(10, round(min(picture.size) / 36))))
    taken: list[tuple[float, ...]] = []
    for i in order[::-1]:
        name = names[labels[i] - 1] if labels[i] <= len(names) else str(labels[i])
        text = name if scores is None else f"{name} {scores[i]:.0%}"
        taken.append(_draw_label(canvas, text, boxes[i] * factor, colour(labels[i], i), font, picture.size, taken))
    return np.asarray(picture)


def enlargement(height: int, width: int, min_side: int) -> int:
    """Whole factor that makes both sides at least `min_side`, but the longer one no more than ten times it."""
    return max(1, min(-(-min_side // max(1, min(height, width))), 10 * min_side // max(1, height, width)))


def sure_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints [n, J, 3] to draw, visible (2) or not (0), of those of detections [n, J, 3] y, x, score."""
    visibility = np.where(keypoints[..., 2:] >= MIN_KEYPOINT_SCORE, 2, 0)
    return np.concatenate([keypoints[..., :2], visibility], axis=-1)


def sheet(
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
    font = ImageFont.load_default(letter or min(24, max(10, cell // 24)))
    gap = max(2, cell // 64)
    line = round(sum(font.getmetrics()) * 1.2)
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
                canvas.text((x, y + heights[row] + place * line), _shortened(text, font, cell), "black", font)
    return np.asarray(page)


def colour(label: int, instance: int = 0) -> tuple[int, int, int]:
    """RGB of a class: hues a golden section apart, and three shades for neighbours of one class."""
    hue = (int(label) * 0.61803398875) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.65, 1.0)[instance % 3], (1.0, 1.0, 0.75)[instance % 3])
    return round(255 * red), round(255 * green), round(255 * blue)


def label_map(
    image: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] = (),
    colours: Sequence[tuple[int, int, int] | None] = (),
    *,
    opacity: float = LABEL_OPACITY,
    min_side: int = 0,
) -> np.ndarray:
    """Picture uint8 [h, W, 3] of `image` [H, W, 3] in the colours of its classes, each with an outline.

    Args:
        labels: [H, W] of the pixels, in 1..K; 0, which does not count, is hatched.
        names: class names; `names[0]` is that of label 1. With them a `legend` stands below the picture.
        colours: RGB of the classes; that of label 1 is `colours[0]`. One that is None or missing is `class_colour`.
        opacity: of the colours inside the outlines.
        min_side: an image with a shorter side than this is enlarged; see `instances`.
    """
    image, labels = np.asarray(image, np.uint8), np.asarray(labels, int)
    if image.shape[:2] != labels.shape:
        raise ValueError(f"a label map of {labels.shape} pixels is not one of a picture of {image.shape[:2]}")
    factor = enlargement(*labels.shape, min_side)
    pixels, places = image.repeat(factor, 0).repeat(factor, 1), labels.repeat(factor, 0).repeat(factor, 1)
    tints = palette(int(labels.max(initial=0)), colours)[places]
    line = max(1, round(min(places.shape) / 400))
    # A class is tinted more lightly where the same one is on all sides; no line stands around what does not count.
    inside = (places == 0) | _alike(places, line)
    share = np.where(inside, opacity, 1.0)[..., None]
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
    said: np.ndarray | None = None,
) -> np.ndarray:
    """Picture uint8 [h, width, 3] of the classes in a label map [H, W], the largest first: colour, name, share.

    Args:
        names, colours: as of `label_map`.
        said: [H, W], a second label map; each class then has its share in both.
    """
    maps = [np.asarray(one, int).ravel() for one in (labels, said) if one is not None]
    counts = np.stack([np.bincount(one, minlength=len(names) + 1) for one in maps]).astype(float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    present = [i for i in np.argsort(-shares.max(axis=0), kind="stable") if shares[:, i].any()]
    tints = palette(counts.shape[1] - 1, colours)
    font = ImageFont.load_default(min(28, max(11, round(width / 64))))
    swatch, gap, line = font.size, max(4, font.size // 2), round(font.size * 1.5)

    texts = [f"{_class_name(i, names)} {' / '.join(_percent(share) for share in shares[:, i])}" for i in present]
    widest = max([font.getlength(text) for text in texts] + [1])
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
        canvas.text((x + swatch + gap, y + swatch / 2), _shortened(text, font, room), "black", font, anchor="lm")
    return np.asarray(page)


def class_colour(label: int) -> tuple[int, int, int]:
    """RGB of a class in label maps, where its data have none."""
    return colour(label, label + label // 21)  # Labels 5, 8, 13 and 21 apart have like hues, and so other shades.


def palette(highest: int, colours: Sequence[tuple[int, int, int] | None] = ()) -> np.ndarray:
    """RGB uint8 [highest + 1, 3] of the labels; the first, of what does not count, is black. See `label_map`."""
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


def _class_name(label, names):
    if label == 0:
        return "not counted"
    return names[label - 1] if label <= len(names) else str(label)


def _percent(share):
    return f"{100 * share:.1f}%" if share >= 0.001 or share == 0 else "<0.1%"


def _dense(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool [H, W] of a mask that is that already, or of its run lengths."""
    mask = np.asarray(mask)
    if mask.ndim == 2:
        return mask.astype(bool)
    return rle.decode(mask, height, width)


def _shade(pixels: np.ndarray, mask: np.ndarray, rgb: tuple[int, int, int], line: int) -> None:
    """Tints the pixels of a mask and draws its outline, `line` pixels wide, inside it."""
    inside = mask
    for _ in range(line):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tint = (1 - MASK_OPACITY) * pixels[mask] + MASK_OPACITY * np.array(rgb)
    pixels[mask] = np.round(tint).astype(np.uint8)
    pixels[mask & ~inside] = rgb


def fitted(picture: Image.Image, cell: int) -> Image.Image:
    """A picture, smaller or a whole factor larger, so that its longer side is at most `cell`."""
    scale = cell / max(picture.size)
    if scale >= 2:
        return picture.resize((picture.width * int(scale), picture.height * int(scale)), Image.Resampling.NEAREST)
    if scale < 1:
        return picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    return picture


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


def _draw_label(canvas, text, box, rgb, font, size, taken) -> tuple[float, ...]:
    """Writes a text at a box, at the first place that no other label has; returns the rectangle it covers."""
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


def _shortened(text: str, font, width: int) -> str:
    """The text, or as much of its start as fits into `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
