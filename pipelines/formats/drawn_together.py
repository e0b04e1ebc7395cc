"""The drawings of several files as one: a picture of two files is one picture, with the shapes of both."""

import dataclasses
from collections.abc import Sequence

from ..build.problems import Problem, Refused, short
from . import several
from .drawn import Drawing, Picture
from .tar_files import File


def joined(drawings: Sequence[Drawing], files: Sequence[str], found: list[Problem]) -> Drawing:
    """One Drawing of those of several files; classes are one by their names, in the order in which they come.

    Raises:
        Refused: the files have other keypoints, or one of them has fractions of an image and the other pixels.
    """
    if len(drawings) == 1:
        return drawings[0]
    pictures: dict[tuple[str, int], Picture] = {}
    for path, drawing in zip(files, drawings, strict=True):
        several.report_shared(path, [one.name for one in drawing.pictures if _key(one.file) in pictures], found)
        for picture in drawing.pictures:
            first = pictures.get(_key(picture.file))
            pictures[_key(picture.file)] = _both(first, picture) if first else picture
    named = {_key(file): file for drawing in drawings for file in drawing.unnamed if _key(file) not in pictures}
    images = [*(one.file for one in pictures.values()), *named.values()]
    called = several.names([(one.name, _unpacked(one)) for one in images])
    names = dict(zip(map(_key, images), called, strict=True))
    ordered = all(drawing.classes for drawing in drawings)
    return dataclasses.replace(
        _of_keypoints(drawings, files),
        pictures=[dataclasses.replace(one, name=names[key]) for key, one in pictures.items()],
        classes=tuple(dict.fromkeys(name for drawing in drawings for name in drawing.classes)) if ordered else (),
        left_out=sum(drawing.left_out for drawing in drawings),
        unnamed=[dataclasses.replace(file, name=names[key]) for key, file in named.items()],
    )


def _key(file: File) -> tuple[str, int]:
    return file.path, file.offset


def _unpacked(file: File) -> str:
    """The path of a file, in a tar that it would have if that were unpacked to a folder of its name."""
    return file.path if file.offset < 0 else f"{file.path.removesuffix('.tar')}/{file.name}"


def _both(first: Picture, other: Picture) -> Picture:
    """The picture with the shapes of two files."""
    both = f"{first.source} and {other.source}"
    if first.fractions != other.fractions:
        what = f"{other.name} has fractions of the image in one of {both}, and pixels in the other"
        raise Refused(f"{what}: write pixels in both files, or leave one of them out")
    if first.size and other.size and first.size != other.size:
        sides = " and ".join(f"{height} x {width}" for height, width in (first.size, other.size))
        what = f"{both} state two sizes of {other.name}, {sides} (height x width)"
        raise Refused(f"{what}: correct one of the files, or leave it out")
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
