"""Files whose pixels are objects: all that are not 0, or those of one value."""

import dataclasses
from collections import Counter, defaultdict

import numpy as np

from tfrecog.data import image_numpy

from ..build.problems import LeftOut, Reporter
from . import drawn, image_file, label_image
from .drawn import Picture, Shape
from .tar_files import File

# JPEG, to be named as a mistake
EXTENSIONS = (".bmp", ".gif", ".png", ".tif", ".tiff", ".jpeg", ".jpg")
_AGAIN = "It is left out: copy the file again."


def values(file: File, report: Reporter) -> np.ndarray:
    """The whole numbers [H, W] that a file has for pixels; LeftOut where they are none.

    Of colours only those are numbers that are gray everywhere.
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
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return red
    remedy = "It is left out: save it as a PNG of whole numbers, without colours."
    report.leave_out("mask of colours", f"{file.name} is an image of mode {picture.mode}, no numbers", remedy)


def read(picture: Picture, report: Reporter) -> Picture:
    """A picture with its objects in the files read: of the size that most of their masks have.

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
    for file, shapes in of_file.items():
        its_report = dataclasses.replace(report, file=file.name)
        try:
            made |= _shapes(shapes, values(file, its_report), its_report)
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


def _shapes(shapes: list[Shape], array: np.ndarray, report: Reporter) -> dict[Shape, Shape]:
    """The shapes of one file with their run lengths; those without a pixel go to the report."""
    made = {}
    for shape in shapes:
        value = shape.pixels.value if shape.pixels else 0
        mask = array == value if value else array != 0
        if mask.any():
            its = drawn.of_mask(shape.place, shape.class_name, mask, mask.shape)
            made[shape] = dataclasses.replace(its, crowd=shape.crowd)
        else:
            what = f"{shape.place}: no pixel of it is {value or 'other than 0'}"
            report("mask without a pixel", what, "It is left out: remove the file, or draw the object.")
    return made


def _words(size: tuple[int, int] | None) -> str:
    return f"{size[0]} x {size[1]} (height x width)" if size else "of no size"
