"""Where the images, the label files and the names of the classes of YOLO data lie: data.yaml, or the folders' names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfrecog.cli import files

from ..build.problems import Problem, Refused, Reporter, short
from . import class_folders, yolo_yaml
from .drawn import folder_of
from .named_images import NamedImages
from .tar_files import File
from .yolo_yaml import LISTS, Facts

NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
_NO_LABELS = (*LISTS, "notes.txt", "readme.roboflow.txt", "readme.dataset.txt", "readme.txt", "license.txt")


@dataclass(frozen=True)
class Folder:
    """The files of a split."""

    path: str
    facts: Facts
    pairs: list[tuple[File, File | None]]  # image, and its label file


def of_split(place: str, images: str, split: str, classes: str, found: list[Problem]) -> Folder:
    """The Folder of a split of `place`, which is data.yaml or a folder.

    Args:
        place: data.yaml, its folder, or the folder of the label files.
        images: the folder of the images; "": they lie in the folder of `place`.
        split: its name in data.yaml or of its folder.
        classes: file of the names of the classes; "": data.yaml or classes.txt has them.
        found: takes the problems.
    """
    root = folder_of(place)
    path = yolo_yaml.path_in(place)
    tree = yolo_yaml.read(path) if path else {}
    facts = yolo_yaml.facts(tree, path, [root, images], classes)
    if images and not tree:
        named, labels = NamedImages(images, found), _labels(root, found)
        return Folder(root, facts, _paired(named.files, labels, root, found))
    root = images or root
    named, labels = NamedImages(root, found), _labels(root, found)
    chosen = _of_yaml(tree, path, split, named, found) if path else _of_folders(split, root, named.files)
    return Folder(root, facts, _paired(chosen, labels, root, found))


def splits_of(place: str) -> list[str]:
    """The splits that data.yaml or the folders of images name, as train, val and test; [] where none is named.

    One that data.yaml names is left out where others are there and it is not, as Roboflow writes all three.
    """
    root = folder_of(place)
    path = yolo_yaml.path_in(place)
    tree = yolo_yaml.read(path) if path else {}
    named = {name: tree[name] for names in NAMES.values() for name in names if tree.get(name)}
    there = {
        name for name, entry in named.items() if any(_place(tree, one, root) is not None for one in _entries(entry))
    }
    folders = {name for folder in ("", "images") for name in _listed(os.path.join(root, folder))}
    known = (there or named.keys()) if named else folders
    return [split for split, names in NAMES.items() if known & {*names}]


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _place(tree: dict, entry: Any, root: str) -> str | None:
    """The folder or list of images in `root` that an entry of data.yaml means; None where it is not there.

    Roboflow writes `valid`, and others have renamed that folder to `val`.
    """
    parts = str(entry).replace("\\", "/").split("/")
    tries = [str(entry)]
    for place, part in enumerate(parts):
        others = next((names for names in NAMES.values() if part in names), ())
        tries += ["/".join([*parts[:place], name, *parts[place + 1 :]]) for name in others]
    found = (yolo_yaml.place_of(one, str(tree.get("path") or ""), root) for one in tries)
    return next((place for place in found if place is not None), None)


def _listed(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _labels(root: str, found: list[Problem]) -> dict[str, File]:
    """Label files by their name in the folder, without the extension."""
    listed, _ = class_folders.listing(root, found, "--annotations", (".txt",))
    return {file.name[:-4]: file for file in listed if os.path.basename(file.name).lower() not in _NO_LABELS}


def _of_yaml(tree: dict, path: str, split: str, named: NamedImages, found: list[Problem]) -> list[File]:
    """The images of a split by data.yaml, all of which lie in the folder of the images."""
    root = named.path
    keys = [key for key in NAMES.get(split, (split,)) if tree.get(key)]
    if not keys:
        those = [key for names in NAMES.values() for key in names if tree.get(key)]
        raise Refused(f"{path} has no {split!r}; name one of {', '.join(those) or 'none'} with --source_split")
    chosen: dict[str, File] = {}
    for entry in _entries(tree[keys[0]]):
        place = _place(tree, entry, root)
        if place is None:
            raise Refused(
                f"{path} says that {keys[0]} is {short(entry)}, which is not in {root}: "
                "correct it, or give the folder that holds it with --images"
            )
        if os.path.isfile(os.path.join(root, place)):
            text = files.read_text(os.path.join(root, place), "a text file with one image a line")
            names = [yolo_yaml.relative(line.strip()) for line in text.splitlines() if line.strip()]
            taken = named.take(names, [Reporter(found, place)] * len(names))
            chosen |= {file.name: file for file in taken if file}
        else:
            start = "" if place == "." else f"{place}/"
            chosen |= {file.name: file for file in named.files if file.name.startswith(start)}
    if not chosen:
        raise Refused(f"{path} says that {keys[0]} is {short(tree[keys[0]])}, and no image lies there; correct it")
    return list(chosen.values())


def _of_folders(split: str, root: str, images: Sequence[File]) -> list[File]:
    """The images of a split by the names of folders: images/train, train/images or train; all where none has a name."""
    known = {name for names in NAMES.values() for name in names}

    def split_of(file: File) -> str:
        return next((part for part in file.name.split("/")[:-1] if part.lower() in known | {split}), "")

    splits = {split_of(file) for file in images} - {""}
    if not splits:
        return list(images)
    chosen = [file for file in images if split_of(file).lower() in NAMES.get(split, (split,))]
    if not chosen:
        raise Refused(f"{root} has no folder {split!r}; name one of {', '.join(sorted(splits))} with --source_split")
    return chosen


def _paired(
    images: Sequence[File], labels: dict[str, File], root: str, found: list[Problem]
) -> list[tuple[File, File | None]]:
    """Each image with its label file: in the folder labels where images are in images, or beside it.

    Names of the images are then those in the folder in which all of them lie.
    """
    pairs, used = [], set()
    for image in images:
        stem = os.path.splitext(image.name)[0]
        parts = stem.split("/")
        places = [k for k, part in enumerate(parts[:-1]) if part == "images"]
        swapped = ["/".join([*parts[:k], "labels", *parts[k + 1 :]]) for k in places[::-1]]
        label = next((labels[name] for name in [*swapped, stem, f"labels/{stem}"] if name in labels), None)
        pairs.append((image, label))
        used.add(label)
    rotated = next((name for name in labels if "labelTxt" in name.split("/")), None)
    if not used - {None} and rotated is not None:
        what = f"{os.path.join(root, rotated)}.txt has rotated boxes, as DOTA and Roboflow's YOLO OBB write them"
        raise Refused(f"{what}, which are not read: export upright boxes or polygons, as YOLO or COCO JSON")
    if not used - {None}:
        raise Refused(
            f"{root} has no label file for {images[0].name}: give the folder of the label files with --annotations, "
            "in which they have the names and folders of the images"
        )
    folders = {os.path.dirname(label.name) for label in used if label}
    for label in labels.values():
        if label not in used and os.path.dirname(label.name) in folders:
            what, remedy = "there is no image of its name", "Add the image, or take the file away."
            found.append(Problem("label file without an image", label.name, what, remedy))
    start = os.path.commonpath([os.path.dirname(f"/{image.name}") for image in images]).lstrip("/")
    return [(replace(image, name=os.path.relpath(image.name, start or ".")), label) for image, label in pairs]
