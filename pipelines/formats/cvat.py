"""CVAT's XML 1.1: shapes in images, or tracks of shapes through the frames of a video."""

import dataclasses
import itertools
from collections.abc import Callable, Container, Sequence
from xml.etree.ElementTree import Element

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import cvat_shape, cvat_tracks, groups, small_file, tar_files, voc_xml
from .drawn import Drawing, Picture
from .named_images import NamedImages, reporters
from .tool_values import whole
from .yolo_folder import NAMES

_MOST_BYTES = 2**28
_DEFAULT = "default"  # CVAT's subset of the tasks of a project that have none


def read(path: str, images: NamedImages, subsets: Container[str], found: list[Problem]) -> Drawing:
    """What a file says of the images of a folder.

    Args:
        path: of the XML.
        images: of the folder, in which a subset may have a folder of its own.
        subsets: those whose images are wanted.
        found: takes the problems.

    Raises:
        Refused: it is not CVAT's.
    """
    root = _root(path)
    drawing = Drawing()
    drawing.classes, drawing.keypoints = _labels(path, root)
    tracks = [track for track in root.findall("track") if _subset(track) in subsets]
    if tracks:
        cvat_tracks.read(path, root, tracks, images, drawing, found)
    # The wanted ones first: of a folder of one subset those of the others may have the same names.
    numbered = sorted(enumerate(root.findall("image"), 1), key=lambda one: _subset(one[1]) not in subsets)
    entries = [entry for _, entry in numbered]
    there = {file.name for file in images.files}
    both = [(entry.get("name") or "", f"{_subset(entry)}/{entry.get('name')}") for entry in entries]
    names = [below if below in there else name for name, below in both]
    wanted = [_subset(entry) in subsets for entry in entries]
    places = [f"image {entry.get('id') or number}" for number, entry in numbered]
    reports = reporters(found, path, names, places)
    reports = [one if its else dataclasses.replace(one, found=[]) for one, its in zip(reports, wanted, strict=True)]
    taken = images.take(names, reports)
    for entry, report, image in itertools.compress(zip(entries, reports, taken, strict=True), wanted):
        if image is None:
            drawing.left_out += len(entry)
            continue
        sides = whole(entry.get("height")), whole(entry.get("width"))
        size = (sides[0], sides[1]) if sides[0] and sides[1] else None
        parts = []
        for number, element in enumerate(entry, 1):
            place = f"{element.tag} {number}"
            its_report = Reporter(found, path, report.image_id, prefix=f"{place}: ")
            try:
                parts += cvat_shape.parts(element, element.get("label") or "", place, size, its_report)
            except LeftOut:
                drawing.left_out += 1
        shapes, lost = groups.objects(parts, report)
        drawing.left_out += lost
        drawing.pictures.append(Picture(image.name, image, path, tuple(shapes), size))
    others = {subset for subset in _subsets(root) if subset not in subsets}
    drawing.unnamed += [file for file in images.rest() if not others & {*file.name.split("/")[:-1]}]
    return drawing


def subsets_of(path: str) -> list[str]:
    """The subsets of the images and tracks of a project, as a file names them; [] where it has none."""
    subsets = _subsets(_root(path))
    return [] if subsets == [_DEFAULT] else subsets


def wanted_subsets(paths: Sequence[str], split: Callable[[], str]) -> set[str]:
    """The subsets of several files that a split is of: all where the files have none.

    Args:
        paths: of the XMLs.
        split: gives the name of the split, * for all of them.

    Raises:
        Refused: a file is not CVAT's, or none has such a subset.
    """
    subsets = {subset for path in paths for subset in _subsets(_root(path))}
    if subsets <= {_DEFAULT} or (wanted := split()) == "*":
        return subsets
    names = {wanted, *NAMES.get(wanted, ())}
    those = {subset for subset in subsets if subset == wanted or subset.lower() in names}
    if not those:
        what = f"{', '.join(paths)} has no subset {wanted!r}: name one of {', '.join(sorted(subsets))}"
        raise Refused(f"{what} with --source_split, or * for all")
    return those


def _subset(entry: Element) -> str:
    return entry.get("subset") or _DEFAULT


def _subsets(root: Element) -> list[str]:
    return sorted({_subset(entry) for kind in ("image", "track") for entry in root.findall(kind)})


def is_cvat(data: bytes) -> bool:
    """Whether the first bytes of a file are of CVAT's XML."""
    start = data.lstrip(b"\xef\xbb\xbf \r\n")
    return start.startswith((b"<?xml", b"<annotations")) and b"<annotations" in start


def _root(path: str) -> Element:
    found: list[Problem] = []
    try:
        data = small_file.bytes_of(tar_files.on_disk(path, path), Reporter(found, path), _MOST_BYTES)
        root = voc_xml.tree(data)
    except LeftOut:
        raise Refused(f"{path}: {found[-1].what}; give another file with --annotations") from None
    except voc_xml.NoAnnotation as error:
        raise Refused(f"{path}: {error}; give CVAT's XML with --annotations") from error
    if root.tag != "annotations":
        raise Refused(f"{path} is not CVAT's XML: its outermost element is <{root.tag[:40]}>, not <annotations>")
    return root


def _labels(path: str, root: Element) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes and the keypoints of their skeletons, in the order of the project; () where it does not name them."""
    labels = root.findall("meta//labels/label")
    names = [(label.findtext("name") or "", label.findtext("parent") or "") for label in labels]
    classes = tuple(dict.fromkeys(name for name, parent in names if name and not parent))
    joints = {parent: tuple(name for name, its in names if its == parent) for _, parent in names if parent}
    different = list(dict.fromkeys(joints.values()))
    if len(different) > 1:
        both = " and ".join(map(repr, list(joints)[:2]))
        raise Refused(f"{path}: the skeletons {both} have other keypoints; one list for all is supported")
    return classes, different[0] if different else ()
