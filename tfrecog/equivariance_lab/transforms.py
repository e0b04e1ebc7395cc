"""Sources of variation: what g does to an image x, and where M_g moves what is in it.

The lecture's are photometric changes, translation, rotation in the plane, scale, occlusion, local deformation and
context. A strength says how far each goes; at its `still` strength it changes nothing. Points are (y, x) in continuous
pixels: the centre of the first pixel is (0.5, 0.5).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MIDDLE = 0.7  # side of what counts as the object, in the middle of an image without boxes
_WAVES, _PARTS = 3, 6  # of a deformation: most waves across the image, and how many are added


@dataclass(frozen=True)
class Move:
    """Where points [..., 2] of x lie in g(x) (`forth`), and those of g(x) in x (`back`)."""

    forth: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]

    @property
    def inverse(self) -> "Move":
        """That of the inverse of g."""
        return Move(self.back, self.forth)


STILL = Move(lambda points: points, lambda points: points)


@dataclass(frozen=True)
class Change:
    """g(x), and what is known of it.

    Attributes:
        image: g(x) [H, W, 3] float32 in 0..255.
        move: where its points come from.
        visible: [H, W] bool, the pixels of g(x) that show what x shows.
        inside: [H, W] bool, where things of x may be; unlike `visible`, behind an occluder too.
        moves: whether M_g is anything but the identity.
    """

    image: np.ndarray
    move: Move
    visible: np.ndarray
    inside: np.ndarray
    moves: bool = False


@dataclass(frozen=True)
class Around:
    """What g may need beside x: boxes [n, 4] of objects, another image [H, W, 3], and a seed."""

    boxes: np.ndarray
    other: np.ndarray
    seed: int = 0


@dataclass(frozen=True)
class Variation:
    """A family of changes: `change(x, strength, around)` is one of them, of a strength from `low` to `high`."""

    name: str
    unit: str
    still: float
    strengths: tuple[float, ...]
    change: Callable[[np.ndarray, float, Around], Change]
    low: float = 0.0
    high: float = float("inf")


def centres(height: int, width: int, stride: float = 1.0, first: float | None = None) -> np.ndarray:
    """Points [height, width, 2] at the centres of cells, `stride` pixels apart; the first is at half of a stride."""
    first = stride / 2 if first is None else first
    rows, columns = (first + stride * np.arange(n) for n in (height, width))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)


def read(
    values: np.ndarray, points: np.ndarray, kernel: str = "cubic", stride: float = 1.0, first: float | None = None
) -> np.ndarray:
    """Values [..., C] at points [..., 2] of a map [H, W, C] whose cells lie as `centres` says.

    At the centre of a cell it is the cell's value, to the last bit. Beyond the border the map is mirrored.

    Args:
        kernel: "cubic" (Keys 1981, a = -1/2), "linear" or "nearest".
    """
    first = stride / 2 if first is None else first
    # Rounded, so that a shift by whole cells comes out whole.
    at = np.round((points - first) / stride, 9)
    if kernel == "nearest":
        return _cells(values, np.floor(at + 0.5).astype(int))
    start = np.floor(at).astype(int)
    taps = (-1, 0, 1, 2) if kernel == "cubic" else (0, 1)
    weights = [_weight(np.abs(at - start - tap), kernel) for tap in taps]
    whole = not np.any(at - start)
    total = np.zeros([*points.shape[:-1], values.shape[-1]], np.float32)
    for i, dy in enumerate(taps):
        for j, dx in enumerate(taps):
            if whole and (dy or dx):
                continue
            weight = (weights[i][..., 0] * weights[j][..., 1]).astype(np.float32)
            total += weight[..., None] * _cells(values, start + np.array([dy, dx]))
    return total


def _weight(distance, kernel):
    if kernel == "linear":
        return np.maximum(1 - distance, 0)
    near = 1 - 2.5 * distance**2 + 1.5 * distance**3
    far = 2 - 4 * distance + 2.5 * distance**2 - 0.5 * distance**3
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _cells(values, index):
    rows, columns = (_mirrored(index[..., axis], values.shape[axis]) for axis in (0, 1))
    return values[rows, columns]


def _mirrored(index, count):
    index = index % (2 * count)
    return np.where(index < count, index, 2 * count - 1 - index)


def within(points: np.ndarray, size: tuple[int, int], margin: float = 0.0) -> np.ndarray:
    """Whether points [..., 2] lie in an image of a size, at least `margin` pixels from its edges; [...] bool."""
    slack = 1e-6
    return np.all((points >= margin - slack) & (points <= np.array(size) - margin + slack), axis=-1)


def moved(image: np.ndarray, move: Move, samples: int = 1) -> Change:
    """g(x) of a move of the points of x [H, W, 3]; each pixel is the mean of samples² readings."""
    size = image.shape[:2]
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    grid = centres(*size)
    readings = [read(image, move.back(grid + np.array([dy, dx]))) for dy in offsets for dx in offsets]
    seen = np.clip(np.mean(readings, axis=0) if samples > 1 else readings[0], 0, 255)
    inside = within(move.back(grid), size)
    return Change(seen.astype(np.float32), move, inside, inside, moves=True)


def undone(change: Change) -> Change:
    """The inverse of g after g: x, but for what left the image and what was interpolated; M is the identity."""
    back = moved(change.image, change.move.inverse)
    return Change(back.image, STILL, back.visible, back.inside)


def translation(image: np.ndarray, pixels: float, around: Around) -> Change:
    """To the right, by any number of pixels; by whole ones it is exact."""
    by = np.array([0.0, pixels])
    return moved(image, Move(lambda points: points + by, lambda points: points - by))


def rotation(image: np.ndarray, degrees: float, around: Around) -> Change:
    """About the centre of the image, anticlockwise."""
    angle, middle = np.deg2rad(degrees), np.array(image.shape[:2]) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])  # of (y, x), with y downwards
    return moved(image, Move(lambda p: (p - middle) @ turn.T + middle, lambda p: (p - middle) @ turn + middle))


def scale(image: np.ndarray, factor: float, around: Around) -> Change:
    """About the centre of the image; a smaller one is averaged."""
    middle = np.array(image.shape[:2]) / 2
    move = Move(lambda p: (p - middle) * factor + middle, lambda p: (p - middle) / factor + middle)
    return moved(image, move, samples=int(np.ceil(1 / factor - 1e-9)))


def deformation(image: np.ndarray, stretch: float, around: Around) -> Change:
    """By smooth waves, of at most three across the image, that nowhere stretch by more; at 1 they would fold."""
    random = np.random.default_rng([around.seed, 1])
    waves = 2 * np.pi * random.uniform(-_WAVES, _WAVES, [_PARTS, 2]) / max(image.shape[:2])
    phases, ways = random.uniform(0, 2 * np.pi, _PARTS), random.normal(size=[_PARTS, 2])

    def field(points):
        return np.sin(points @ waves.T + phases) @ ways

    slopes = np.cos(centres(*image.shape[:2]) @ waves.T + phases) @ (ways[:, :, None] * waves[:, None, :]).reshape(
        -1, 4
    )
    by = stretch / np.linalg.norm(slopes, axis=-1).max()

    def back(points):
        return points + by * field(points)

    def forth(points):
        there = points
        for _ in range(100):  # A contraction, by 0.9 at worst.
            there = points - by * field(there)
        return there

    return moved(image, Move(forth, back))


def brightness(image: np.ndarray, share: float, around: Around) -> Change:
    """Adds a share of the range."""
    return _still(image + 255 * share)


def contrast(image: np.ndarray, factor: float, around: Around) -> Change:
    """Differences from the mean of the image become so many times as large."""
    mean = image.mean()
    return _still(mean + factor * (image - mean))


def saturation(image: np.ndarray, factor: float, around: Around) -> Change:
    """Differences from the gray of each pixel become so many times as large; 0 is a gray image."""
    gray = (image @ _GRAY)[..., None]
    return _still(gray + factor * (image - gray))


def noise(image: np.ndarray, deviation: float, around: Around) -> Change:
    """Adds normal noise, in gray levels of 255, to each channel of each pixel."""
    random = np.random.default_rng([around.seed, 2])
    return _still(image + deviation * random.normal(size=image.shape))


def occlusion(image: np.ndarray, share: float, around: Around) -> Change:
    """Covers a share of each box, from a side, or of the image by a rectangle somewhere, with the mean colour."""
    covered = np.zeros(image.shape[:2], bool)
    random = np.random.default_rng([around.seed, 3])
    if len(around.boxes):
        for box in around.boxes:
            covered |= _cover(image.shape[:2], box, share, int(random.integers(4)))
    else:
        sides = np.sqrt(share) * np.array(image.shape[:2])
        start = random.uniform(size=2) * (np.array(image.shape[:2]) - sides)
        covered |= _inside_box(image.shape[:2], (*start, *(start + sides)))
    seen = np.where(covered[..., None], image.mean(axis=(0, 1)), image)
    return Change(seen.astype(np.float32), STILL, ~covered, np.ones_like(covered))


def context(image: np.ndarray, share: float, around: Around) -> Change:
    """Fades what is around the boxes, or around the middle of the image, into another image."""
    size = np.array(image.shape[:2])
    middle = np.concatenate([size * (1 - _MIDDLE) / 2, size * (1 + _MIDDLE) / 2])
    objects = np.zeros(image.shape[:2], bool)
    for box in around.boxes if len(around.boxes) else [middle]:
        objects |= _inside_box(image.shape[:2], box)
    seen = np.where(objects[..., None], image, (1 - share) * image + share * around.other)
    return Change(seen.astype(np.float32), STILL, objects, objects)


def _still(image):
    everywhere = np.ones(image.shape[:2], bool)
    return Change(np.clip(image, 0, 255).astype(np.float32), STILL, everywhere, everywhere)


def _cover(size, box, share, side):
    """A share of a box, from its top, left, bottom or right side."""
    y1, x1, y2, x2 = box
    height, width = share * (y2 - y1), share * (x2 - x1)
    part = [(y1, x1, y1 + height, x2), (y1, x1, y2, x1 + width), (y2 - height, x1, y2, x2), (y1, x2 - width, y2, x2)]
    return _inside_box(size, part[side])


def _inside_box(size, box):
    points = centres(*size)
    return np.all((points >= box[:2]) & (points <= box[2:]), axis=-1)


def boxes_after(move: Move, boxes: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """M_g of boxes [n, 4]: around what g makes of the masks [n, H, W] in them, else of the ellipses that they hold.

    Of an object without a mask a turned box says little; an ellipse is the middle of what it may be. Each side moves as
    far as that side of the mask or the ellipse, so that the identity and translations are exact.
    """
    angle = np.linspace(0, 2 * np.pi, 65)[:-1]
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    result = np.array(boxes, float).reshape(-1, 4)
    for i, box in enumerate(result.copy()):
        points = (box[:2] + box[2:]) / 2 + circle * (box[2:] - box[:2]) / 2
        if masks is not None and masks[i].any():
            points = _outline(masks[i])
        after = move.forth(points)
        result[i, :2] += after.min(axis=0) - points.min(axis=0)
        result[i, 2:] += after.max(axis=0) - points.max(axis=0)
    return result


def _outline(mask):
    """Corners [p, 2] of the pixels at the two ends of each row and each column of a mask [H, W]."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    ends = []
    for across, lines, picture in ((0, rows, mask), (1, columns, mask.T)):
        first, last = picture[lines].argmax(axis=1), picture.shape[1] - picture[lines][:, ::-1].argmax(axis=1)
        for line in (lines, lines + 1):
            for end in (first, last):
                ends.append(np.stack([line, end] if across == 0 else [end, line], axis=-1))
    return np.concatenate(ends).astype(float)


def shrunk(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Of a mask [H, W] bool the pixels whose neighbours so far away, in both directions, are in it and in the image."""
    if not pixels:
        return mask
    side = 2 * pixels + 1
    sums = np.pad(np.cumsum(np.cumsum(np.pad(mask, pixels).astype(int), axis=0), axis=1), [(1, 0), (1, 0)])
    counts = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return counts == side * side


ALL = (
    Variation("translation", "pixels", 0, (0.25, 0.5, 1, 2, 4, 8, 16, 32), translation),
    Variation("rotation", "degrees", 0, (2, 5, 10, 20, 45), rotation, high=180),
    Variation("scale", "factor", 1, (0.5, 0.7, 0.9, 1.1, 1.4, 2), scale, low=0.05, high=20),
    Variation("deformation", "largest stretch", 0, (0.1, 0.2, 0.4, 0.8), deformation, high=0.9),
    Variation("brightness", "share of the range", 0, (0.05, 0.1, 0.2, 0.4), brightness, low=-1, high=1),
    Variation("contrast", "factor", 1, (0.2, 0.4, 0.7, 1.5), contrast),
    Variation("saturation", "factor", 1, (0, 0.5, 1.5, 2), saturation),
    Variation("noise", "gray levels", 0, (4, 8, 16, 32), noise, high=255),
    Variation("occlusion", "share covered", 0, (0.1, 0.2, 0.4, 0.6), occlusion, high=1),
    Variation("context", "share of another image", 0, (0.25, 0.5, 0.75, 1), context, high=1),
)
BY_NAME = {variation.name: variation for variation in ALL}
