"""CVAT's XML 1.1: shapes in images, or tracks of shapes through the frames of a video."""

from xml.etree.ElementTree import Element

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import cvat_shape, cvat_tracks, groups, small_file, tar_files, voc_xml
from .drawn import Drawing, Picture
from .named_images import NamedImages
from .tool_values import whole

_MOST_BYTES = 2**28


def read(path: str, images: NamedImages, found: list[Problem]) -> Drawing:
    """What a file says of the images of a folder; Refused where it is not CVAT's."""
    root = _root(path)
    drawing = Drawing()
    drawing.classes, drawing.keypoints = _labels(path, root)
    if root.find("track") is not None:
        cvat_tracks.read(path, root, images, drawing, found)
    entries = root.findall("image")
    names = [entry.get("name") or "" for entry in entries]
    reports = [Reporter(found, path, name) for name in names]
    for entry, report, image in zip(entries, reports, images.take(names, reports), strict=True):
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
