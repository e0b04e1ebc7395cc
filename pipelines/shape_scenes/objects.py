"""The objects of a scene: which, where, painted over one another, and what remains visible of each."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from . import curves, textures

FORMS = curves.forms()
_STROKES = curves.strokes()
NAMES = (
    *(f"curve_{n + 1}" for n in range(curves.CURVES)),
    *(f"chain_{n + 1}" for n in range(curves.CHAINS)),
    *(f"texture_{name}" for name in textures.CLASSES),
)
LEAST_SHARE = 0.25  # of an object that is visible
_LEAST_INSIDE = 0.75  # of it that is in the picture
_LEAST_SIDE, _LEAST_AREA = 4, 14  # pixels of what is visible
_LEAST_RADIUS = 9.0  # of an object whose texture is its class, in pixels
_TRIES = 8


@dataclass
class Object:
    """An object or a distractor in a scene."""

    label: int  # 0: a distractor
    window: tuple[int, int, int, int]  # within the picture
    total: int  # pixels of the whole object
    joints: np.ndarray | None  # points [J, 2] (y, x)


class Scene:
    """A picture that is drawn, and which object is seen at each pixel."""

    def __init__(self, rng: np.random.Generator, image: np.ndarray, noise: np.ndarray, contrast: float):
        self.rng, self.image, self.noise, self.contrast = rng, image, noise, contrast
        self.owner: np.ndarray = np.zeros(image.shape[:2], np.int16)  # number of the object, from 1 on
        self.objects: list[Object] = []
        self.seen = np.zeros(1, np.int64)  # pixels of each, by number
        self.colours = textures.palette(rng)

    def add(self, label: int, radius: float) -> None:
        """Draws an object (label 0: a distractor) of this radius in pixels, if a place is found for it."""
        height, width = self.owner.shape
        form = self._form(label)
        for _ in range(_TRIES):
            centre = self.rng.uniform((0, 0), (height, width))
            figure = curves.figure(self.rng, form, centre, radius)
            whole = curves.window(figure)
            within = (max(whole[0], 0), max(whole[1], 0), min(whole[2], height), min(whole[3], width))
            if within[0] >= within[2] or within[1] >= within[3]:
                continue
            cover = curves.cover(figure, whole)
            total = int(np.count_nonzero(cover > 0.5))
            cut = (slice(within[0] - whole[0], within[2] - whole[0]), slice(within[1] - whole[1], within[3] - whole[1]))
            mask = cover[cut] > 0.5
            if self._fits(within, mask, total, label):
                self._paint(label, figure, whole, within, cut, cover)
                self._own(label, figure, within, mask, total)
                return

    def visible(self, number: int) -> np.ndarray:
        """Mask of what is seen of an object in its window; numbers begin at 1."""
        y1, x1, y2, x2 = self.objects[number - 1].window
        return self.owner[y1:y2, x1:x2] == number

    def _form(self, label):
        shapes = len(FORMS)
        if 1 <= label <= shapes:
            return FORMS[label - 1]
        if not label:
            return _STROKES[self.rng.integers(len(_STROKES))]
        corners = int(np.exp(self.rng.uniform(np.log(3), np.log(30))))
        return curves.Form((curves.outline(self.rng, corners),), float(np.exp(self.rng.uniform(-0.9, 0.9))))

    def _fits(self, within, mask, total, label):
        """Whether the object, and what it hides a part of, would be visible enough."""
        inside = int(np.count_nonzero(mask))
        if inside < _LEAST_AREA or inside < _LEAST_INSIDE * total:
            return False
        y1, x1, y2, x2 = within
        hidden = np.bincount(self.owner[y1:y2, x1:x2][mask], minlength=len(self.seen))
        for number in np.flatnonzero(hidden[1:]) + 1:
            of = self.objects[number - 1]
            left = self.seen[number] - hidden[number]
            if of.label and left < max(LEAST_SHARE * of.total, _LEAST_AREA):
                return False
        return True

    def _own(self, label, figure, within, mask, total):
        y1, x1, y2, x2 = within
        view = self.owner[y1:y2, x1:x2]
        self.seen -= np.bincount(view[mask], minlength=len(self.seen))
        self.objects.append(Object(label, within, total, figure.joints))
        view[mask] = len(self.objects)
        self.seen = np.append(self.seen, np.count_nonzero(mask))

    def _paint(self, label, figure, whole, within, cut, cover):
        """Blends the object in, with its shadow and its own kind of edge."""
        y1, x1, y2, x2 = within
        ground = self.image[y1:y2, x1:x2]
        y = np.arange(whole[0], whole[2], dtype=np.float32)[cut[0], None] + 0.5
        x = np.arange(whole[1], whole[3], dtype=np.float32)[None, cut[1]] + 0.5
        middle = np.concatenate(figure.parts).mean(axis=0)
        cos, sin = np.float32(np.cos(figure.turn)), np.float32(np.sin(figure.turn))
        dy, dx = y - np.float32(middle[0]), x - np.float32(middle[1])
        share = self._share(label, cos * dx + sin * dy, cos * dy - sin * dx, figure.radius, within)
        if figure.rings:
            share = np.abs(share - 0.8 * curves.tones(figure, whole)[cut])
        one, two = self._two_colours(label, ground.mean(axis=(0, 1)))
        texture = one + share[..., None] * (two - one)
        if self.rng.random() < 0.4:  # darker, or lighter, towards the edge
            depth = _filtered(cover, ImageFilter.BoxBlur(max(1, figure.radius / 3)))[cut]
            texture = texture * (1 + np.float32(self.rng.uniform(-0.3, 0.6)) * (depth - 0.7))[..., None]
        if self.rng.random() < 0.3:
            shift = np.rint(self.rng.uniform(-0.35, 0.35, 2) * min(figure.radius, 20)).astype(int)
            shadow = _filtered(np.roll(cover, shift, (0, 1)), ImageFilter.BoxBlur(1 + figure.radius / 12))[cut]
            ground *= 1 - np.float32(self.rng.uniform(0.2, 0.6)) * shadow[..., None]
        alpha = self._edge(cover)[cut][..., None]
        ground += alpha * (texture - ground)

    def _share(self, label, u, v, radius, within):
        """The second colour's share [h, w] at the pixels (u, v) of the object's own axes."""
        if label > len(FORMS):
            period = max(5.0, radius * self.rng.uniform(0.35, 0.6))
            return np.float32(textures.share(textures.CLASSES[label - 1 - len(FORMS)], u, v, period))
        y1, x1, y2, x2 = within
        height, width = self.noise.shape
        top, left = self.rng.integers(height), self.rng.integers(width)
        field = self.noise[(np.arange(y1, y2) + top)[:, None] % height, (np.arange(x1, x2) + left) % width]
        return np.float32(textures.plain(self.rng, u, v, radius, field))

    def _two_colours(self, label, ground):
        """Two colours [3] whose mean stands out from the ground's; those of a class of texture also from each other."""
        for _ in range(6):
            if self.rng.random() < 0.6:
                one = self.colours[self.rng.integers(len(self.colours))]
            else:
                one = self.rng.uniform(0, 255, 3).astype(np.float32)
            two = np.clip(one + self.rng.uniform(-110, 110, 3), 0, 255).astype(np.float32)
            apart = np.linalg.norm(one - two) > 60 or label <= len(FORMS)
            if apart and np.linalg.norm((one + two) / 2 - ground) >= self.contrast:
                break
        return one, two

    def _edge(self, cover):
        """What blends the object in [h, w]: hard, as covered, feathered, a box of 3 x 3, or moved."""
        kind = self.rng.integers(5)
        if kind == 0:
            return np.float32(cover > 0.5)
        if kind == 1:
            return cover
        if kind == 2:
            return _filtered(cover, ImageFilter.GaussianBlur(self.rng.uniform(0.5, 2)))
        if kind == 3:
            return _filtered(cover, ImageFilter.BoxBlur(1))
        axis, length = int(self.rng.integers(2)), int(self.rng.integers(1, 3))
        return np.mean([np.roll(cover, shift, axis) for shift in range(-length, length + 1)], axis=0, dtype=np.float32)


def _filtered(cover, filtering):
    """A cover [h, w] in [0, 1] through one of Pillow's filters."""
    picture = Image.fromarray(np.rint(cover * 255).astype(np.uint8)).filter(filtering)
    return np.asarray(picture, np.float32) / 255


def large_enough(mask: np.ndarray) -> bool:
    """Whether what is visible of an object, a mask [h, w], can be learned from."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows) or np.count_nonzero(mask) < _LEAST_AREA:
        return False
    return rows[-1] - rows[0] + 1 >= _LEAST_SIDE and columns[-1] - columns[0] + 1 >= _LEAST_SIDE


def fill(scene: Scene) -> None:
    """Objects and distractors in a scene, in any order: a few of any classes, or a crowd of one."""
    rng, side = scene.rng, min(scene.owner.shape)
    if rng.random() < 0.1:
        label, middle = int(rng.integers(1, len(NAMES) + 1)), np.exp(rng.uniform(np.log(7), np.log(0.12 * side)))
        for _ in range(int(rng.integers(15, 36))):
            scene.add(label, _radius(label, middle * np.exp(rng.normal(0, 0.15))))
        return
    count = int(np.exp(rng.uniform(np.log(2), np.log(26))))
    kinds = [1] * count + [0] * int(rng.integers(9))
    for is_object in rng.permutation(kinds):
        label = int(rng.integers(1, len(NAMES) + 1)) if is_object else 0
        scene.add(label, _radius(label, np.exp(rng.uniform(np.log(5), np.log(0.45 * side)))))


def _radius(label, radius):
    return float(max(radius, _LEAST_RADIUS) if label > len(FORMS) else radius)
