"""Files whose pixels are objects: all that are not 0, or those of one value."""

import dataclasses
import itertools
from collections import Counter, defaultdict

import numpy as np

from tfrecog.data import image_numpy

from ..build.problems import LeftOut, Reporter
from . import image_file, label_image
from .drawn import Picture, Shape
from .tar_files import File

# JPEG, to be named as a mistake
EXTENSIONS = (".bmp", ".gif", ".png", ".tif", ".tiff", ".jpeg", ".jpg")
_AGAIN = "It is left out: copy the file again."


def values(file: File, report: Reporter) -> np.ndarray:
    """The whole numbers [H, W] that a file has for pixels; LeftOut where they are none.

    Of colours only those are numbers that are gray everywhere; what is transparent is 0, unless all of it is.
    """
    data = image_file.content(file, report, "mask", _AGAIN)
    try:
        stored = image_numpy.opened(data)
    except image_numpy.Unreadable as error:
        report.leave_out("mask cannot be decoded", f"{file.name}: {error}", _AGAIN)
    picture, deep = stored.picture, stored.values()
    if stored.kind in ("JPEG", "WEBP"):
        what = f"{file.name} is a {stored.kind}, which changes the values of pixels"
        report.leave_out("mask with losses", what, "It is left out: save it as PNG from the source.")
    if deep is not None and deep.ndim == 2 and np.issubdtype(deep.dtype, np.integer) and deep.min() >= 0:
        return deep
    if deep is None and picture.mode in ("1", "L", "P"):
        return label_image.indices(picture, stored.kind, data)
    if deep is None and picture.mode in ("LA", "RGB", "RGBA"):
        red, green, blue, alpha = np.moveaxis(np.array(picture.convert("RGBA")), -1, 0)
        for channel in (red, green, blue):
            channel[(alpha == 0) & alpha.any()] = 0
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return red
    remedy = "It is left out: save it as a PNG of whole numbers, without colours."
    report.leave_out("mask of colours", f"{file.name} is an image of mode {picture.mode}, no numbers", remedy)


def read(picture: Picture, report: Reporter) -> Picture:
    """A picture with its objects in the files read: of the size of the image, or that most of their masks have.

    A mask that has the shape of the image, and not its size, as some of OpenImages have, is scaled to it.

    Args:
        picture: where shapes have `pixels`; one without any stays as it is.
        report: takes the masks that are none.
    """
    of_file: dict[File, list[Shape]] = defaultdict(list)
    for shape in picture.shapes:
        if shape.pixels:
            of_file[shape.pixels.file].append(shape)
    if not of_file:
        return picture
    made: dict[Shape, Shape] = {}
    sides = _sides(picture.file)
    for file, shapes in of_file.items():
        its_report = dataclasses.replace(report, file=file.name)
        try:
            made |= _shapes(shapes, _scaled(values(file, its_report), sides, its_report), its_report)
        except LeftOut:
            continue
    sizes = Counter(shape.run_lengths[1] for shape in made.values() if shape.run_lengths)
    size = max(sizes, key=lambda one: sizes[one], default=None)
    kept = []
    for shape in picture.shapes:
        its = made.get(shape)
        if its and its.run_lengths and its.run_lengths[1] != size:
            what = f"{shape.place}: it is {_words(its.run_lengths[1])}, the others of the picture are {_words(size)}"
            report("mask of another size", what, "It is left out: use the mask of this picture.")
        elif its or not shape.pixels:
            kept.append(its or shape)
    return dataclasses.replace(picture, shapes=tuple(kept), size=size)


def _sides(file: File) -> list[tuple[int, int]]:
    """(height, width) of an image as its file stores it, and turned by a quarter; [] where it cannot be read."""
    try:
        width, height = image_numpy.header(file.read()).size
    except (OSError, ValueError):  # which is reported with the image
        return []
    return [(height, width), (width, height)]


def _scaled(array: np.ndarray, sides: list[tuple[int, int]], report: Reporter) -> np.ndarray:
    """A mask [H, W] in the size of the first of the `sides` with its proportions; itself without one."""
    if array.shape in sides:
        return array
    for size in sides:  # Of the smaller one a side was rounded.
        if abs(array.shape[0] * size[1] - array.shape[1] * size[0]) < max(*array.shape, *size):
            what = f"it is {_words(array.shape)}, the image {_words(size)}"
            report("mask scaled", what, "It is scaled to the image without smoothing; nothing needs to be done.")
            rows, columns = (np.arange(new) * old // new for old, new in zip(array.shape, size, strict=True))
            return array[rows[:, None], columns]
    return array


def _shapes(shapes: list[Shape], array: np.ndarray, report: Reporter) -> dict[Shape, Shape]:
    """The shapes of one file with their run lengths; those without a pixel go to the report."""
    made = {}
    columns = array.T.ravel()
    order = np.argsort(columns, kind="stable")
    ends = np.r_[0, np.flatnonzero(np.diff(columns[order])) + 1, len(order)]
    of_value = {int(columns[order[a]]): order[a:b] for a, b in itertools.pairwise(ends)}
    for shape in shapes:
        value = shape.pixels.value if shape.pixels else 0
        places = of_value.get(value, order[:0]) if value else np.flatnonzero(columns)
        if len(places):
            made[shape] = _of_places(shape, places, array.shape)
        else:
            what = f"{shape.place}: no pixel of it is {value or 'other than 0'}"
            report("mask without a pixel", what, "It is left out: remove the file, or draw the object.")
    return made


def _of_places(shape: Shape, places: np.ndarray, size: tuple[int, int]) -> Shape:
    """A shape with the run lengths of its pixels: their places [n], at least one, in order, down each column."""
    ends = np.flatnonzero(np.diff(places) > 1)
    starts, stops = places[np.r_[0, ends + 1]], places[np.r_[ends, -1]] + 1
    counts = np.diff(np.r_[0, np.stack([starts, stops], -1).ravel(), size[0] * size[1]])
    columns, rows = np.divmod(places, size[0])
    box = (int(columns[0]), int(rows.min()), int(columns[-1]) + 1, int(rows.max()) + 1)
    runs = counts if counts[-1] else counts[:-1]
    return dataclasses.replace(shape, box=box, run_lengths=(tuple(runs.tolist()), size), pixels=None)


def _words(size: tuple[int, int] | None) -> str:
    return f"{size[0]} x {size[1]} (height x width)" if size else "of no size"
