"""What kinds of annotations a folder holds, by what is in its files, not by their names."""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tfrecog.data import frames

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import box_csv, class_folders, csv_file, cvat, json_file, label_studio, recognised_masks, via, yolo_yaml
from .tar_files import File
from .yolo_folder import NAMES

WORDS = {
    "coco": "COCO JSON",
    "voc": "XML of Pascal VOC",
    "yolo": "YOLO label files",
    "labelme": "LabelMe JSON",
    "cvat": "CVAT XML",
    "via": "VIA JSON",
    "label_studio": "Label Studio JSON",
    "csv": "CSV of boxes",
    "label_maps": "label maps beside images",
    "instance_maps": "maps of the numbers of instances",
    "cityscapes": "instance maps of Cityscapes",
    "masks": "a mask for each object",
    "panoptic": "COCO's panoptic JSON",
    "idx": "IDX files of images and labels",
    "records": "TFRecords",
    "classes": "one folder per class",
}
OF_PIXELS = ("label_maps", "instance_maps")  # PNGs that may be taken for each other
_RECORD = re.compile(r"\.(tfrecords?|records?)([.-]|$)|-\d{5}-of-\d{5}(\.gz)?$")
_SHARD = re.compile(r"-\d{5}(-of-\d{5}.*$|(?=(\.\w+)*$))")  # what differs in the names of files of a split
_IDX = re.compile(r"images[-.]idx\d[-.]ubyte(\.gz)?$")
_LARGE = 2**26  # bytes: of larger JSON files the first are looked at
_SAMPLE = 20  # files of a folder that are looked at
_SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}


@dataclass(frozen=True)
class Part:
    """Files of one kind and one split."""

    kind: str  # a key of WORDS
    place: str  # the file, or the folder of the files; of records a pattern
    split: str  # "": the names do not say
    images: str = ""  # folder of the images, where it is known


def parts(root: str) -> list[Part]:
    """The parts of a folder, those of one kind together."""
    found: list[Problem] = []
    extensions = (*class_folders.EXTENSIONS, ".json", ".xml", ".txt", ".yaml", ".yml", ".csv")
    files, _ = class_folders.listing(root, found, "--data", extensions)
    images = [file for file in files if file.name.lower().endswith(class_folders.EXTENSIONS)]
    made: dict[Part, None] = {}
    of_folder: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        of_folder[os.path.dirname(file.name), os.path.splitext(file.name)[1].lower()].append(file)
    for those in of_folder.values():
        for file in those[:_SAMPLE]:
            for kind in _kinds(file, root):
                place = os.path.dirname(file.path) if kind in ("voc", "labelme") else file.path
                name = file.name if place == file.path else os.path.dirname(file.name)
                made[Part(kind, place, split_of(name))] = None
    of_masks = {Part(kind, *places): None for kind, *places in recognised_masks.parts(images, split_of)}
    has_label_files, has_maps = _has_label_files(files, images), any(part.kind in OF_PIXELS for part in of_masks)
    if any(part.kind == "yolo" for part in made) or has_label_files:
        # A YAML file of names alone may be one of the classes of maps.
        yolo = {} if has_maps and not has_label_files else {Part("yolo", root, ""): None}
        made = {part: None for part in made if part.kind != "yolo"} | yolo
    for kind, path in _of_names(root):
        made[Part(kind, path, split_of(os.path.basename(path)))] = None
    only = not made
    made |= {part: None for part in of_masks if part.kind != "classes"}
    root, names = _inner(root, [file.name for file in images])
    tops = {name.split("/")[0] for name in names if "/" in name}
    depth = int({*map(str.lower, tops)} <= class_folders.SPLITS)  # of the folders of classes, below those of splits
    classes = {name.split("/")[depth] for name in names if name.count("/") > depth}
    doubtful = any(part.kind == "classes" for part in of_masks) and not recognised_masks.named(images)
    if only and (doubtful or not of_masks) and len(classes) > 1:
        made |= dict.fromkeys(_class_parts(root, tops))
    order = list(WORDS)
    return sorted(_joined(made), key=lambda part: (order.index(part.kind), part.place))


def _joined(made: Iterable[Part]) -> list[Part]:
    """The parts, those in folders of one split as their common folder if no other split lies in that."""
    those, joined = list(made), []
    for kind, split in dict.fromkeys((part.kind, part.split) for part in those):
        alike = [part for part in those if (part.kind, part.split) == (kind, split)]
        if kind in ("voc", "labelme") and len(alike) > 1:
            common = os.path.commonpath([part.place for part in alike])
            others = [part.place for part in those if part.kind == kind and part.split != split]
            if not any(os.path.commonpath([common, other]) == common for other in others):
                alike = [Part(kind, common, split)]
        joined += alike
    return joined


def _inner(root: str, names: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The folder below which all images lie, but for that of a class or a split, and their names from there."""
    tops = {name.split("/")[0] for name in names}
    top = os.path.join(root, min(tops, default=""))
    if len(tops) > 1 or {*map(str.lower, tops)} & class_folders.SPLITS or not os.path.isdir(top):
        return root, names
    below = [name.partition("/")[2] for name in names]
    return _inner(top, below) if below and all("/" in name for name in below) else (root, names)


def _class_parts(root: str, tops: Iterable[str]) -> Iterator[Part]:
    """Folders of classes, or those of splits with folders of classes in them."""
    if set(map(str.lower, tops)) <= class_folders.SPLITS:
        yield from (Part("classes", os.path.join(root, top), split_of(top)) for top in sorted(tops))
    else:
        yield Part("classes", root, "")


def _kinds(file: File, root: str) -> Iterator[str]:
    """The kind of annotations in a file, if it has some."""
    extension = os.path.splitext(file.name)[1].lower()
    if extension == ".json":
        yield from _of_json(file)
    elif extension == ".xml":
        head = _head(file)
        if cvat.is_cvat(head):
            yield "cvat"
        elif b"<annotation" in head:
            yield "voc"
    elif extension in (".yaml", ".yml"):
        try:
            if "names" in yolo_yaml.read(file.path):
                yield "yolo"
        except Refused:
            return
    elif extension == ".csv":
        header = csv_file.first_cells(_head(file))
        if {*via.COLUMNS} <= {*header}:
            yield "via"
            return
        try:
            box_csv.columns_of(file.path, header, ())
            yield "csv"
        except Refused:
            return


def _of_json(file: File) -> Iterator[str]:
    if file.size > _LARGE:
        head = _head(file, 2**20)
        if b'"_via_img_metadata"' in head or b'"region_attributes"' in head:
            yield "via"
        elif head.lstrip().startswith(b"[") and any(f'"{key}"'.encode() in head for key in label_studio.MARKS):
            yield "label_studio"
        elif b'"segments_info"' in head:
            yield "panoptic"
        elif b'"images"' in head or b'"categories"' in head or b'"annotations"' in head:
            yield "coco"
        return
    try:
        tree = json_file.of_file(file, Reporter([], file.name))
    except LeftOut:
        return
    if isinstance(tree, dict) and isinstance(tree.get("images"), list) and isinstance(tree.get("categories"), list):
        listed = tree.get("annotations") or [None]
        first = listed[0] if isinstance(listed, list) else None
        yield "panoptic" if isinstance(first, dict) and "segments_info" in first else "coco"
    elif isinstance(tree, dict) and isinstance(tree.get("shapes"), list):
        yield "labelme"
    elif via.entries_of(tree) is not None:
        yield "via"
    elif label_studio.tasks_of(tree) is not None:
        yield "label_studio"


def _head(file: File, count: int = 4096) -> bytes:
    if not os.path.isfile(file.path):
        return b""
    with open(file.path, "rb") as opened:
        return opened.read(count)


def split_of(name: str) -> str:
    """The split that a path names: train/_annotations.json, instances_val2017.json; "" where it names none."""
    words = [
        word
        for part in reversed(name.lower().replace("t10k", "test").split("/"))
        for word in re.findall(r"[a-z]+", part)
    ]
    return next((_SPLIT_OF[word] for word in words if word in _SPLIT_OF), "")


def _has_label_files(files: Iterable[File], images: Iterable[File]) -> bool:
    """Whether text files that are named as images are of lines that begin as YOLO's: a whole number and four others."""
    stems = {os.path.splitext(os.path.basename(file.name))[0] for file in images}
    texts = [file for file in files if file.name.lower().endswith(".txt")]
    texts = [file for file in texts if os.path.splitext(os.path.basename(file.name))[0] in stems][:_SAMPLE]
    lines = [line for file in texts for line in _head(file).splitlines()[:5]]
    return any(re.match(rb"\s*\d+(\s+-?[\d.]+([eE]-?\d+)?){4,}", line) for line in lines)


def _of_names(root: str) -> dict[tuple[str, str], None]:
    """Files that their names tell: of records, a pattern for each split, and IDX files of images.

    Of `train-00000` its first bytes have to tell too.
    """
    found: dict[tuple[str, str], None] = {}
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if _RECORD.search(name) or (_SHARD.search(name) and os.path.isfile(path) and frames.begins(path)):
                found["records", os.path.join(glob.escape(folder), _SHARD.sub("-*", glob.escape(name)))] = None
            elif _IDX.search(name):
                found["idx", path] = None
    return found
