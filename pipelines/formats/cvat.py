"""CVAT's XML 1.1: shapes in images, or tracks of shapes through the frames of a video."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from xml.etree.ElementTree import Element

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import cvat_shape, cvat_tracks, groups, small_file, tar_files, voc_xml
from .drawn import Drawing, Picture
from .named_images import NamedImages
from .tool_values import whole
from .yolo_folder import NAMES

_MOST_BYTES = 2**28


def read(path: str, images: NamedImages, split: Callable[[], str], found: list[Problem]) -> Drawing:
    """What a file says of the images of a folder, of those of a subset where it has several.

    Args:
        path: of the XML.
        images: of the folder.
        split: gives the name of the split that the subset is for, * for all of them.
        found: takes the problems.

    Raises:
        Refused: it is not CVAT's, or has no such subset.
    """
    root = _root(path)
    drawing = Drawing()
    drawing.classes, drawing.keypoints = _labels(path, root)
    if root.find("track") is not None:
        cvat_tracks.read(path, root, images, drawing, found)
    entries = root.findall("image")
    names, chosen = [entry.get("name") or "" for entry in entries], _chosen(path, entries, split)
    reports = [Reporter(found if one else [], path, name) for one, name in zip(chosen, names, strict=True)]
    taken = images.take(names, reports)
    for entry, report, image in itertools.compress(zip(entries, reports, taken, strict=True), chosen):
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
    drawing.unnamed += images.rest()
    return drawing


def subsets_of(path: str) -> list[str]:
    """The subsets of the images of a project, as a file names them."""
    return _subsets(_root(path).findall("image"))


def _subsets(entries: Iterable[Element]) -> list[str]:
    return sorted({subset for entry in entries if (subset := entry.get("subset"))})


def _chosen(path: str, entries: Sequence[Element], split: Callable[[], str]) -> list[bool]:
    """Whether each of the images is of the subset that is wanted."""
    subsets = _subsets(entries)
    if len(subsets) < 2 or (wanted := split()) == "*":
        return [True] * len(entries)
    names = {wanted, *NAMES.get(wanted, ())}
    those = {subset for subset in subsets if subset == wanted or subset.lower() in names}
    if not those:
        what = f"{path} has no subset {wanted!r}: name one of {', '.join(subsets)} with --source_split, or * for all"
        raise Refused(what)
    return [entry.get("subset") in those for entry in entries]


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
