"""Objects of annotation files, counted by readings of a few lines each: every one is in a record or in the report.

A reading gives the `Thing`s of a folder of inputs: objects, files without any, and what it cannot read itself, which
the report has to name. Where shapes of a group are one object, each reading counts the group once.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import tensorflow as tf
from PIL import Image

_OF_ALL = re.compile(
    r"\b(image|images|file|JSON|XML|label map|value of no class)\b"
)  # in the kinds of problems with all of an image
_PLACE = re.compile(r"(?!image|task)\w+ \d+: ")  # of one object, such as "region 2: "
_NAMELESS = frozenset([""])  # name of all images without one
_EXTENSION = re.compile(r"\.\w+$")
_NO_LOSS = re.compile(r"are kept|It is kept|nothing needs to be done")
_LOSS = re.compile(r"left out|skipped|no objects|Put the file there|Make it smaller|[Tt]he (first|last) is taken")
_OF_KEYPOINTS = ("unknown keypoint", "keypoint without an object")


class Thing(NamedTuple):
    """An object, by the names that reports have for its image and its file."""

    names: frozenset[str]
    readable: bool = True


def examples(folder: Path) -> list[tf.train.Example]:
    """The records of all TFRecord files of a folder, as TensorFlow reads them."""
    paths = sorted(map(str, folder.glob("*.tfrecord")))
    return [tf.train.Example.FromString(one.numpy()) for one in (tf.data.TFRecordDataset(paths) if paths else ())]


def values(example: tf.train.Example, key: str) -> list:
    """What a feature of a record holds; [] where it is not there."""
    feature = example.features.feature[key]
    return list(getattr(feature, feature.WhichOneof("kind") or "bytes_list").value)


def boxes(records: Iterable[tf.train.Example]) -> int:
    """How many boxes the records have together."""
    return sum(len(values(one, "image/object/bbox/ymin")) for one in records)


def nothing_lost(reading: Callable[[Path], list[Thing] | None]) -> Callable[[Path, Path], bool]:
    """A check that all of a folder's things are in the records of an output folder, or in its report.

    It gives whether there is a reading of them.
    """

    def check(folder: Path, out: Path) -> bool:
        things = reading(folder)
        if things is None:  # The damage decides which files are read.
            return False
        lines = [json.loads(line) for line in (out / "train.report.jsonl").read_text().splitlines()]
        losses = [one for one in lines if _LOSS.search(one["remedy"]) and not _NO_LOSS.search(one["remedy"])]
        losses = [one for one in losses if one["kind"] not in _OF_KEYPOINTS]
        of_all = [one for one in losses if _OF_ALL.search(one["kind"]) and one["annotation_id"] is None]
        of_all = [one for one in of_all if not _PLACE.match(one["what"])]
        named, named_at_all = (
            {name for one in those for name in names_of(one["file"], one["image_id"])} for those in (of_all, lines)
        )
        if any(not one["image_id"] for one in of_all):
            named |= _NAMELESS
        unread = [thing for thing in things if not thing.readable and not thing.names & named_at_all]
        assert not unread, f"the report has no word of {unread}: {lines}"
        objects = sum(thing.readable and not (thing.names or _NAMELESS) & named for thing in things)
        of_one = sum(one not in of_all for one in losses)
        kept = boxes(examples(out))
        assert objects <= kept + of_one, f"{objects} objects, {kept} are in records and {of_one} in the report: {lines}"
        return True

    return check


def names_of(*texts: object) -> frozenset[str]:
    """The last parts of names, without extensions; of an empty name nothing."""
    lasts = (re.split(r"[/\\=]", str(text).strip().rstrip("/\\="))[-1] for text in texts)
    return frozenset(filter(None, (_EXTENSION.sub("", last) for last in lasts)))


def coco(folder: Path, name: str = "coco.json") -> list[Thing]:
    tree = json.loads((folder / name).read_bytes())
    files = {str(one["id"]): one["file_name"] for one in tree["images"]}
    ids = [str(one.get("image_id")) for one in tree.get("annotations") or ()]
    return [Thing(names_of(one, files.get(one, ""))) for one in ids]


def coco_files(folder: Path) -> list[Thing] | None:
    """The objects of both files, of which those of one image, class and box are one."""
    seen: dict[tuple, Thing] = {}
    for name in ("coco.json", "whole.json"):
        tree = json.loads((folder / name).read_bytes())
        files, classes = (
            {str(one["id"]): one[key] for one in tree[those]}
            for those, key in (("images", "file_name"), ("categories", "name"))
        )
        if len(files) < len(tree["images"]):  # 1 and "1" are two images.
            return None
        for one, thing in zip(tree["annotations"], coco(folder, name), strict=True):
            image, kind = files.get(str(one["image_id"]), str(one)), classes.get(str(one["category_id"]), str(one))
            seen[names_of(image), kind, tuple(map(float, one["bbox"]))] = thing
    return list(seen.values())


def extracted(folder: Path) -> list[Thing] | None:
    """The objects in whichever files `extract` wrote."""
    if (folder / "instances.json").is_file():
        return coco(folder, "instances.json")
    return yolo(folder) if (folder / "data.yaml").is_file() else labelme(folder)


def voc(folder: Path) -> list[Thing]:
    things = []
    for path in (folder / "voc/Annotations").glob("*.xml"):
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, ValueError, LookupError):
            things.append(Thing(names_of(path), readable=False))
            continue
        things += [Thing(names_of(path)) for _ in root.findall("object")] if root.tag == "annotation" else []
    return things


def yolo(folder: Path) -> list[Thing] | None:
    if "\ntrain: images\n" not in f"\n{(folder / 'data.yaml').read_text(errors='replace')}":
        return None
    things = []
    for path in (folder / "labels").rglob("*.txt"):
        try:
            data = path.read_bytes()
            text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        except ValueError:
            things.append(Thing(names_of(path), readable=False))
            continue
        things += [Thing(names_of(path)) for line in text.splitlines() if line.strip()]
    return things


def labelme(folder: Path) -> list[Thing]:
    things = []
    for path in folder.rglob("*.json"):
        try:
            shapes = json.loads(path.read_bytes())["shapes"]
        except (ValueError, KeyError, TypeError):
            things.append(Thing(names_of(path), readable=False))
            continue
        objects = set()
        for number, one in enumerate(shapes if isinstance(shapes, list) else ()):
            if isinstance(one, dict) and one.get("shape_type") == "point":
                continue
            group = one.get("group_id") if isinstance(one, dict) else None
            objects.add(
                number if group is None or isinstance(group, list | dict) else (str(group), str(one.get("label")))
            )
        things += [Thing(names_of(path)) for _ in objects]
    return things


def cvat(folder: Path) -> list[Thing]:
    things = []
    for image in ElementTree.parse(folder / "annotations.xml").getroot().findall("image"):
        objects = set()
        for number, one in enumerate(image):
            group = one.get("group_id")
            objects.add(number if group in (None, "", "0") else (group, one.get("label")))
        things += [Thing(names_of(image.get("name", ""))) for _ in objects]
    return things


def cvat_video(folder: Path) -> list[Thing]:
    """The shapes of the keyframes, of which each is in a record."""
    shapes = [
        shape for track in ElementTree.parse(folder / "annotations.xml").getroot().iter("track") for shape in track
    ]
    return [Thing(names_of("annotations")) for shape in shapes if shape.get("outside") != "1"]


def via(folder: Path) -> list[Thing]:
    tree = json.loads((folder / "via.json").read_bytes())
    entries = tree.get("_via_img_metadata", tree).values()
    return [Thing(names_of(one["filename"])) for one in entries for _ in one["regions"]]


def via3(folder: Path) -> list[Thing]:
    tree, things = json.loads((folder / "via3.json").read_bytes()), []
    for one in tree["metadata"].values():
        region = one if isinstance(one, dict) else {}
        try:
            file = tree["file"][str(tree["view"][str(region.get("vid"))]["fid_list"][0])]
            named = [one for one in (file["fname"], file["src"]) if type(one) in (str, int, float) and one != ""]
            names = names_of(*(named or ["via3.json"]))
        except (KeyError, IndexError, TypeError):
            names = names_of("via3.json")
        things += [Thing(names)] * (region.get("xy") != [])
    return things


def label_studio(folder: Path) -> list[Thing] | None:
    things = []
    for task in json.loads((folder / "project.json").read_bytes()):
        if len(task["annotations"]) != 1:  # of several the last is taken, which is reported
            return None
        annotation = task["annotations"][0]
        results = annotation.get("result") if isinstance(annotation, dict) else None
        drawn = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
        shapes = ("rectanglelabels", "polygonlabels", "brushlabels")
        drawn = [one for one in drawn if "value" in one and one.get("type") in shapes]
        ids = {str(one.get("id")) for one in drawn}
        things += [Thing(_names_of_task(task["data"])) for _ in ids]
    return things


def _names_of_task(data: dict) -> frozenset[str]:
    """Names of a task; of one without the name of a file, the report may name the annotation file alone."""
    texts = [value for key, value in data.items() if isinstance(value, str) and not key.endswith("_at")]
    texts += [text.partition("?")[0] for text in texts]
    named = any(_EXTENSION.search(text) for text in texts)
    return names_of(*texts) if named else names_of(*texts, "project.json")


def json_min(folder: Path) -> list[Thing] | None:
    things, entries = [], json.loads((folder / "project.json").read_bytes())
    if len({str(entry.get("image")) for entry in entries}) < len(entries):  # of several the last is taken
        return None
    for entry in entries:
        if not isinstance(entry.get("label"), list):
            return None
        labels = {"rectanglelabels", "polygonlabels"}
        drawn = [one for one in entry["label"] if isinstance(one, dict) and labels & one.keys()]
        things += [Thing(_names_of_task(entry)) for _ in drawn]
    return things


def rows(name: str, image: str, side: str) -> Callable[[Path], list[Thing]]:
    """The reading of a CSV file of a name by its columns of the image and of the first side of a box."""

    def read(folder: Path) -> list[Thing] | None:
        with (folder / name).open(encoding="utf-8-sig", newline="") as file:
            header, *lines = csv.reader(file)
        if Counter(header)[image] != 1 or Counter(header)[side] != 1:
            return None
        named = [dict(zip(header, line, strict=False)) for line in lines]
        return [Thing(names_of(one.get(image))) for one in named if (one.get(side) or "").strip() not in ("", "{}")]

    return read


def instance_maps(folder: Path) -> list[Thing]:
    """The numbers of the pixels of each map."""
    things = []
    for path in (folder / "PedMasks").glob("*.png"):
        numbers = np.asarray(Image.open(path))
        if numbers.ndim == 2:
            names = names_of(path, path.stem.removesuffix("_mask"))
            things += [Thing(names) for number in np.unique(numbers) if 0 < number < 255]
    return things


def cityscapes(folder: Path) -> list[Thing]:
    """The numbers of at least 1000 of the pixels of each map, which are of a class of the table."""
    things, known = [], {line.split()[0] for line in (folder / "classes.txt").read_text().splitlines()}
    for path in (folder / "gtFine").rglob("*_instanceIds.png"):
        names = names_of(
            path, path.stem.replace("_gtFine_instanceIds", ""), path.stem.replace("gtFine_", "leftImg8bit")
        )
        numbers = np.unique(np.asarray(Image.open(path)))
        things += [Thing(names) for number in numbers if number >= 1000 and str(number // 1000) in known]
    return things


def masks(folder: Path) -> list[Thing]:
    """The masks of a folder for each image, of which a pixel is not black."""
    paths = [path for path in folder.glob("*/masks/*.png") if np.asarray(Image.open(path)).any()]
    return [Thing(names_of(path, path.parent.parent)) for path in paths]
