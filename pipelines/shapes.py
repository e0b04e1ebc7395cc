"""Makes a wide variety of synthetic pictures with boxes, masks and keypoints, to learn features from before real ones.

  python -m pipelines.shapes --count=12000 --split=train --out=data/shapes
  python -m pipelines.shapes --count=300 --split=val --out=data/shapes

48 classes: 28 closed curves by radial noise, 8 chains of three such curves, whose ends and joints are keypoints, and 12
textures on curves of any form. Objects of 10 pixels to 0.9 of the picture's short side lie on dead leaves, noise of
natural spectra, midpoint displacement or plain patterns, hide up to three quarters of one another, and stand between
lines that are no class; a tenth of the pictures is crowded with one class, and a tenth is empty. Colour never tells a
class. Masks hold the pixels that are visible; boxes are tight around them. The same seed makes the same bytes; another
split is made of other pictures. `pipelines.scenes` makes simpler ones, to try things out on; it shares nothing with
these.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from tfrecog.cli import command
from tfrecog.cli.facts import Fraction, NonNegative, Range
from tfrecog.cli.spelling import counted
from tfrecog.data import info, records
from tfrecog.ops import rle

from .build import engines, image_records, shards
from .build.command import SplitFlags
from .shape_scenes import camera, curves, grounds, objects, textures

CLASSES = objects.NAMES
KEYPOINTS = ("end_1", "joint_1", "joint_2", "end_2")
SIGMA = 0.07  # COCO's are 0.067 on average
INFO = info.DatasetInfo(
    categories=tuple(info.Category(name, label) for label, name in enumerate(CLASSES, 1)),
    splits={},
    keypoints=KEYPOINTS,
    skeleton=((0, 1), (1, 2), (2, 3)),
    keypoint_sigmas=(SIGMA,) * len(KEYPOINTS),
    masks=True,
)
EMPTY = 0.1  # of the pictures have no object
FAINT = 0.2  # of them have objects that may differ little from the ground
_CONTRASTS = (15.0, 50.0)  # least distance of mean colours, of 441: where they may, and elsewhere


@dataclass(frozen=True)
class Shapes:
    """What decides a set of pictures."""

    seed: Annotated[int, "Random seed of the pictures.", NonNegative()] = 0
    height: Annotated[int, "Height of the pictures.", Range(64, unit="pixels")] = 160
    width: Annotated[int, "Width of the pictures.", Range(64, unit="pixels")] = 192
    portrait: Annotated[float, "Fraction of the pictures with height and width swapped.", Fraction()] = 0.33


@dataclass(frozen=True)
class Picture:
    """One picture to make."""

    name: str
    split: str
    number: int
    options: Shapes

    def fingerprint(self) -> str:
        return repr(self)


def source(split: str, count: int, options: Shapes) -> shards.Source:
    """What the shards of `count` pictures are built from."""
    items = [Picture(f"{split}-{number:06d}.jpg", split, number, options) for number in range(count)]
    return shards.Source(items, make, INFO, count * options.height * options.width // 4)


def make(picture: Picture) -> tuple[records.Record, list]:
    """The record of a picture; there are no problems."""
    options = picture.options
    # The split's name is part of the seed: train and val share no picture.
    rng = np.random.default_rng([options.seed, picture.number, *picture.split.encode()])
    scene = draw(rng, options)
    photo = camera.photograph(rng, scene.image)
    made = image_records.encode(photo, "jpeg", quality=int(rng.integers(40, 96)))
    first = picture.number * 1000
    found = [_instance(scene, number, first) for number, one in enumerate(scene.objects, 1) if one.label]
    instances = [instance for instance in found if instance]
    names = picture.name, str(picture.number + 1)
    return image_records.with_objects(made, *names, CLASSES, instances, masks=True, joints=len(KEYPOINTS)), []


def draw(rng: np.random.Generator, options: Shapes) -> objects.Scene:
    """A scene, before light and camera."""
    height, width = options.height, options.width
    if rng.random() < options.portrait:
        height, width = width, height
    noise = textures.spectrum_noise(rng, height, width, 1)[..., 0]
    image = np.clip(grounds.ground(rng, height, width, noise), 0, 255).astype(np.float32)
    scene = objects.Scene(rng, image, noise, _CONTRASTS[0] if rng.random() < FAINT else _CONTRASTS[1])
    if rng.random() >= EMPTY:
        objects.fill(scene)
    return scene


def _instance(scene, number, first):
    """What the record has of an object; None if too little of it is visible."""
    one, mask = scene.objects[number - 1], scene.visible(number)
    if not objects.large_enough(mask):
        return None
    top, left = one.window[:2]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1
    runs = rle.encode_crop(mask, top, left, *scene.owner.shape)
    points = keypoints(one.joints, scene.owner, number)
    return image_records.Instance(box, one.label, mask.sum(), first + number, mask=runs, keypoints=points)


def keypoints(joints: np.ndarray | None, owner: np.ndarray, number: int) -> np.ndarray:
    """Keypoints [J, 3] (y, x, visibility) of an object's joints [J, 2]: 2 seen, 1 hidden, 0 outside, or of no chain."""
    points = np.zeros((curves.JOINTS, 3))
    if joints is None:
        return points
    pixels = np.floor(joints).astype(int)
    within = np.all((pixels >= 0) & (pixels < owner.shape), axis=1)
    points[within, :2] = joints[within]
    points[within, 2] = 1 + (owner[tuple(pixels[within].T)] == number)
    return points


@dataclass(frozen=True)
class Flags(Shapes, SplitFlags):
    """The flags of a split of pictures."""

    count: Annotated[int, "Number of pictures.", Range(1)] = 1000


def main(flags: Flags) -> None:
    """Makes the pictures and says how many there are."""
    options = Shapes(**{field.name: getattr(flags, field.name) for field in dataclasses.fields(Shapes)})
    pictures = source(flags.split, flags.count, options)
    made = shards.build(pictures, flags.out, flags.split, shards=flags.shards, engine=engines.of_flags(flags)).split
    marked, images = counted(made.instances, "object"), counted(made.images, "picture")
    print(f"{flags.out}: {flags.split} has {images} and {marked} in {counted(len(made.shards), 'shard')}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out", "split"))
