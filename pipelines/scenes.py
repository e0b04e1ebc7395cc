"""Makes synthetic scenes with exact boxes, masks and keypoints: a dataset to start with, nothing to download.

  python -m pipelines.scenes --count=500 --split=train --out=data/scenes
  python -m pipelines.scenes --count=100 --split=val --out=data/scenes

Discs, squares, triangles, stars, rings and crosses of any colour, pattern, turn and size lie on a patterned background
and hide parts of one another. Masks hold the pixels whose centre is visible; boxes are tight around them. Keypoints are
the topmost, leftmost, bottommost and rightmost pixel of each whole object, the middle of several: visibility 2 seen,
1 hidden by another object, 0 outside the image. The same seed makes the same bytes; another split is made of other
images.

With --label_maps the same images get the class of each pixel instead, for --task=segmentation: the background, or that
of the object that is seen there.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from PIL import Image

from tfrecog.cli import command
from tfrecog.cli.facts import Fraction, NonNegative, Range
from tfrecog.cli.spelling import counted
from tfrecog.data import info, records
from tfrecog.ops import rle

from .build import engines, image_records, scene_shapes, shards
from .build.command import SplitFlags

CLASSES = scene_shapes.NAMES
KEYPOINTS = ("top", "left", "bottom", "right")
# How far the extreme points of a shape move when its pixels are those covered by 12 %, 34 %, ... 95 % instead of those
# whose centre is inside: root mean square 0.02 (disc) to 0.10 (star, where another tip may win) of sqrt(area), 0.07
# over the six shapes; COCO's sigmas are 0.067 on average. OKS is 0.75 where all points are 2 sigma sqrt(-2 ln 0.75)
# sqrt(area) off: 2.8 pixels for the typical object, whose area is 26 x 26.
SIGMA = 0.07
INFO = info.DatasetInfo(
    categories=tuple(info.Category(name, label) for label, name in enumerate(CLASSES, 1)),
    splits={},
    keypoints=KEYPOINTS,
    flip_pairs=((1, 3),),
    skeleton=((0, 1), (1, 2), (2, 3), (3, 0)),
    keypoint_sigmas=(SIGMA,) * len(KEYPOINTS),
    masks=True,
)
# Of label maps the background is a class like any other.
MAPS_INFO = info.DatasetInfo(
    categories=tuple(info.Category(name, value) for value, name in enumerate(("background", *CLASSES))),
    splits={},
    label_maps=True,
)
# An object is not drawn if it, or one below it, would show less than this share of itself.
MIN_VISIBLE = 0.6
MIN_CONTRAST = 80.0  # between the mean colours of an object and of what is around it, of 441
MIN_SIDE = 12  # pixels, of the box around the visible part


@dataclass(frozen=True)
class Scenes:
    """What decides a set of scenes."""

    seed: Annotated[int, "Random seed of the scenes.", NonNegative()] = 0
    height: Annotated[int, "Height of the images.", Range(48, unit="pixels")] = 128
    width: Annotated[int, "Width of the images.", Range(48, unit="pixels")] = 160
    portrait: Annotated[float, "Fraction of the images with height and width swapped.", Fraction()] = 0.0
    min_objects: Annotated[int, "Fewest objects tried in an image.", NonNegative()] = 1
    max_objects: Annotated[int, "Most objects in an image.", Range(0, 99)] = 6
    format: Annotated[Literal["jpeg", "png"], "How the images are encoded."] = "jpeg"
    label_maps: Annotated[bool, "Write the class of each pixel, and no objects."] = False


@dataclass(frozen=True)
class Scene:
    """One image to make."""

    name: str
    split: str
    number: int
    options: Scenes

    def fingerprint(self) -> str:
        return repr(self)


def build(out: str, split: str, count: int, options: Scenes | None = None, *, shard_count: int = 0, jobs: int = 0):
    """Writes `count` scenes as a split of the dataset in `out`; returns what `shards.build` does."""
    made = source(split, count, options or Scenes())
    return shards.build(made, out, split, shards=shard_count, engine=engines.Processes(jobs))


def source(split: str, count: int, options: Scenes) -> shards.Source:
    """What the shards of `count` scenes are built from."""
    extension = {"jpeg": "jpg", "png": "png"}[options.format]
    items = [Scene(f"{split}-{number:06d}.{extension}", split, number, options) for number in range(count)]
    size = count * options.height * options.width // 4  # bytes, at least
    facts = MAPS_INFO if options.label_maps else INFO
    return shards.Source(items, make, facts, size)


def make(scene: Scene) -> tuple[records.Record, list]:
    """The record of a scene; there are no problems."""
    options = scene.options
    # The split's name is part of the seed: train and val share no image.
    rng = np.random.default_rng([options.seed, scene.number, *scene.split.encode()])
    height, width = options.height, options.width
    if rng.random() < options.portrait:
        height, width = width, height
    image = scene_shapes.pattern(rng, height, width, *scene_shapes.colours(rng))
    objects = draw(rng, image, int(rng.integers(options.min_objects, options.max_objects + 1)))
    picture = Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    made = image_records.encode(picture, options.format, quality=92)
    names = scene.name, str(scene.number + 1)
    if options.label_maps:
        labels = np.ones((height, width), np.uint8)  # background
        for label, mask, _ in objects:
            labels[mask] = 1 + label
        record = image_records.with_objects(made, *names, CLASSES, [])
        return dataclasses.replace(record, label_map=records.to_label_map(labels)), []
    instances = [
        image_records.Instance(
            tight_box(mask), label, mask.sum(), scene.number * 100 + i, mask=rle.encode(mask), keypoints=points
        )
        for i, (label, mask, points) in enumerate(objects, 1)
    ]
    return image_records.with_objects(made, *names, CLASSES, instances, masks=True, joints=len(KEYPOINTS)), []


def draw(rng: np.random.Generator, image: np.ndarray, count: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Draws up to `count` objects on the image [H, W, 3]; returns label, visible mask and keypoints of each."""
    height, width = image.shape[:2]
    objects = []  # label, visible mask [H, W], pixels of the whole object, extreme pixels of the whole object
    for _ in range(count):
        for _ in range(20):  # places tried
            label = int(rng.integers(len(CLASSES))) + 1
            radius = np.exp(rng.uniform(np.log(11), np.log(max(0.26 * min(height, width), 12))))
            centre = rng.uniform([0, 0], [height, width])
            window, cover, whole = scene_shapes.draw(rng, CLASSES[label - 1], centre, radius)
            inside, seen = _cut(window, whole, height, width)
            others = [mask & ~seen for _, mask, _, _ in objects]
            totals = [total for _, _, total, _ in objects]
            if all(map(_shows_enough, [*others, seen], [*totals, whole.sum()])):
                break
        else:
            continue
        _paint(rng, image, window, cover, inside)
        objects = [(*a[:1], mask, *a[2:]) for a, mask in zip(objects, others, strict=True)]
        objects.append((label, seen, whole.sum(), scene_shapes.extremes(whole) + window[:2]))
    return [(label, mask, keypoints(points, mask)) for label, mask, _, points in objects]


def keypoints(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Keypoints [4, 3] (y, x, visibility) of the pixels [4, 2] of an object with mask `visible` [H, W].

    A half between two pixels is seen if both are.
    """
    both = np.stack([np.floor(pixels), np.ceil(pixels)]).astype(int)
    within = np.all((both >= 0) & (both < visible.shape), axis=(0, 2))
    y, x = np.moveaxis(np.where(within[:, None], both, 0), -1, 0)
    visibility = np.where(within, 1 + visible[y, x].all(axis=0), 0)
    return np.column_stack([np.where(within[:, None], pixels + 0.5, 0), visibility])


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Box (y1, x1, y2, x2) around the pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def _cut(window: tuple, whole: np.ndarray, height: int, width: int) -> tuple[tuple, np.ndarray]:
    """The part of the window in the image, and the object's mask [H, W] there."""
    y1, x1, y2, x2 = window
    inside_image = max(y1, 0), max(x1, 0), min(y2, height), min(x2, width)
    top, left, bottom, right = inside_image
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = whole[top - y1 : bottom - y1, left - x1 : right - x1]
    return inside_image, mask


def _shows_enough(visible: np.ndarray, total: int) -> bool:
    if visible.sum() < MIN_VISIBLE * total:
        return False
    y1, x1, y2, x2 = tight_box(visible)
    return y2 - y1 >= MIN_SIDE and x2 - x1 >= MIN_SIDE


def _paint(rng: np.random.Generator, image: np.ndarray, window: tuple, cover: np.ndarray, inside_image: tuple) -> None:
    """Blends a patterned object into the image, in colours that stand out from what is there."""
    top, left, bottom, right = inside_image
    around = image[top:bottom, left:right]
    cover = cover[top - window[0] : bottom - window[0], left - window[1] : right - window[1], None]
    ground = around.mean(axis=(0, 1))
    one, two = scene_shapes.colours(rng)
    while np.linalg.norm((one + two) / 2 - ground) < MIN_CONTRAST:
        one, two = scene_shapes.colours(rng)
    image[top:bottom, left:right] = around + cover * (scene_shapes.pattern(rng, *around.shape[:2], one, two) - around)


@dataclass(frozen=True)
class Flags(Scenes, SplitFlags):
    """The flags of a split of scenes."""

    count: Annotated[int, "Number of images.", Range(1)] = 500


def main(flags: Flags) -> None:
    """Makes the scenes and says how many there are."""
    options = Scenes(**{field.name: getattr(flags, field.name) for field in dataclasses.fields(Scenes)})
    scenes = source(flags.split, flags.count, options)
    made = shards.build(scenes, flags.out, flags.split, shards=flags.shards, engine=engines.of_flags(flags)).split
    marked = "label maps" if flags.label_maps else counted(made.instances, "object")
    images, files = counted(made.images, "image"), counted(len(made.shards), "shard")
    print(f"{flags.out}: {flags.split} has {images} and {marked} in {files}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out", "split"))
