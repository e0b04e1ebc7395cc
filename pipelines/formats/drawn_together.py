"""The drawings of several files as one: a picture of two files is one picture, with the shapes of both."""

import dataclasses
from collections.abc import Sequence

from ..build.problems import Problem, Refused, short
from . import several
from .drawn import Drawing, Picture


def joined(drawings: Sequence[Drawing], files: Sequence[str], found: list[Problem]) -> Drawing:
    """One Drawing of those of several files; classes are one by their names, in the order in which they come.

    Raises:
        Refused: the files have other keypoints, or one of them has fractions of an image and the other pixels.
    """
    if len(drawings) == 1:
        return drawings[0]
    pictures: dict[str, Picture] = {}
    for path, drawing in zip(files, drawings, strict=True):
        several.report_shared(path, [one.name for one in drawing.pictures if one.file.path in pictures], found)
        for picture in drawing.pictures:
            first = pictures.get(picture.file.path)
            pictures[picture.file.path] = _both(first, picture) if first else picture
    named = {file.path: file for drawing in drawings for file in drawing.unnamed if file.path not in pictures}
    images = [*(one.file for one in pictures.values()), *named.values()]
    names = dict(
        zip((file.path for file in images), several.names([(one.name, one.path) for one in images]), strict=True)
    )
    ordered = all(drawing.classes for drawing in drawings)
    return dataclasses.replace(
        _of_keypoints(drawings, files),
        pictures=[dataclasses.replace(one, name=names[path]) for path, one in pictures.items()],
        classes=tuple(dict.fromkeys(name for drawing in drawings for name in drawing.classes)) if ordered else (),
        left_out=sum(drawing.left_out for drawing in drawings),
        unnamed=[dataclasses.replace(file, name=names[path]) for path, file in named.items()],
    )


def _both(first: Picture, other: Picture) -> Picture:
    """The picture with the shapes of two files."""
    for name, words in (("fractions", "fractions of the image beside pixels"), ("size", "another size")):
        one, two = getattr(first, name), getattr(other, name)
        if None not in (one, two) and one != two:
            raise Refused(
                f"{other.source} has {words} of {other.name} than {first.source}: build them apart, or correct it"
            )
    moved = (dataclasses.replace(shape, place=f"{other.source}, {shape.place}") for shape in other.shapes)
    return dataclasses.replace(first, shapes=(*first.shapes, *moved), size=first.size or other.size)


def _of_keypoints(drawings: Sequence[Drawing], files: Sequence[str]) -> Drawing:
    """The first drawing that has keypoints, if one has; Refused if another has other ones."""
    posed = [(path, drawing) for path, drawing in zip(files, drawings, strict=True) if drawing.keypoints]
    for path, drawing in posed:
        if drawing.keypoints != posed[0][1].keypoints:
            both = " and ".join(f"{one} {short(', '.join(its.keypoints))}" for one, its in (posed[0], (path, drawing)))
            raise Refused(f"the files have other keypoints, {both}: one list for all is supported")
    return posed[0][1] if posed else drawings[0]
