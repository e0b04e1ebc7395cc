"""Sources of variation: what g does to an image x, and where M_g moves what is in it.

The lecture's are photometric changes, translation, rotation in the plane, scale, occlusion, local deformation and
context. A strength says how far each goes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfrecog.equivariance_lab.moves import Change, Move, centres, in_place, moved

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MIDDLE = 0.7  # side of what counts as the object, in the middle of an image without boxes
_WAVES, _PARTS = 3, 6  # of a deformation: most waves across the image, and how many are added


class Around(NamedTuple):
    """What g may need beside x: boxes [n, 4] of objects, another image [H, W, 3], and a seed."""

    boxes: np.ndarray
    other: np.ndarray
    seed: int = 0


NOWHERE = Around(np.zeros([0, 4]), np.zeros([1, 1, 3]))  # for a g that needs nothing of it


class Variation(NamedTuple):
    """A family of changes: `change(x, strength, around)` is one of them, and no change at the strength `still`."""

    unit: str
    still: float
    change: Callable[[np.ndarray, float, Around], Change]


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
    gradients = (ways[:, :, None] * waves[:, None, :]).reshape(-1, 4)
    slopes = np.cos(centres(*image.shape[:2]) @ waves.T + phases) @ gradients
    ways *= stretch / np.linalg.norm(slopes, axis=-1).max()

    def by(points):
        return np.sin(points @ waves.T + phases) @ ways

    def forth(points):
        found = points
        for _ in range(100):  # A contraction, by 0.9 at worst.
            found = points - by(found)
        return found

    return moved(image, Move(forth, lambda points: points + by(points)))


def brightness(image: np.ndarray, fraction: float, around: Around) -> Change:
    """Adds a fraction of the range."""
    return in_place(image + 255 * fraction)


def contrast(image: np.ndarray, factor: float, around: Around) -> Change:
    """Scales the differences from the mean of the image by this factor."""
    mean = image.mean()
    return in_place(mean + factor * (image - mean))


def saturation(image: np.ndarray, factor: float, around: Around) -> Change:
    """Scales the differences from the gray of each pixel by this factor; 0 is a gray image."""
    gray = (image @ _GRAY)[..., None]
    return in_place(gray + factor * (image - gray))


def noise(image: np.ndarray, deviation: float, around: Around) -> Change:
    """Adds normal noise, in gray levels of 255, to each channel of each pixel."""
    random = np.random.default_rng([around.seed, 2])
    return in_place(image + deviation * random.normal(size=image.shape))


def occlusion(image: np.ndarray, fraction: float, around: Around) -> Change:
    """Covers a fraction of each box, from a side, or of the image by a rectangle somewhere, with the mean colour."""
    random, size = np.random.default_rng([around.seed, 3]), np.array(image.shape[:2])
    covers = [_from_side(box, fraction, int(random.integers(4))) for box in around.boxes]
    if not covers:
        sides = np.sqrt(fraction) * size
        start = random.uniform(size=2) * (size - sides)
        covers = [np.concatenate([start, start + sides])]
    covered = _in_boxes(image, covers)
    return in_place(np.where(covered[..., None], image.mean(axis=(0, 1)), image), visible=~covered)


def context(image: np.ndarray, fraction: float, around: Around) -> Change:
    """Fades what is around the boxes, or around the middle of the image, into another image."""
    size = np.array(image.shape[:2])
    middle = np.concatenate([size * (1 - _MIDDLE) / 2, size * (1 + _MIDDLE) / 2])
    objects = _in_boxes(image, around.boxes if len(around.boxes) else [middle])
    mixed = np.where(objects[..., None], image, (1 - fraction) * image + fraction * around.other)
    return in_place(mixed, visible=objects, inside=objects)


def _from_side(box, fraction, side):
    """A fraction of a box, from its top (0), left, bottom or right side."""
    part, opposite = np.array(box, float), (side + 2) % 4
    part[opposite] = part[side] + fraction * (part[opposite] - part[side])
    return part


def _in_boxes(image, boxes):
    """Pixels [H, W] bool whose centre is in one of the boxes [n, 4]."""
    points, inside = centres(*image.shape[:2]), np.zeros(image.shape[:2], bool)
    for box in boxes:
        inside |= ((points >= box[:2]) & (points <= box[2:])).all(axis=-1)
    return inside


VARIATIONS = {
    "translation": Variation("pixels", 0, translation),
    "rotation": Variation("degrees", 0, rotation),
    "scale": Variation("factor", 1, scale),
    "deformation": Variation("largest stretch", 0, deformation),
    "brightness": Variation("fraction of the range", 0, brightness),
    "contrast": Variation("factor", 1, contrast),
    "saturation": Variation("factor", 1, saturation),
    "noise": Variation("gray levels", 0, noise),
    "occlusion": Variation("fraction covered", 0, occlusion),
    "context": Variation("fraction of another image", 0, context),
}
