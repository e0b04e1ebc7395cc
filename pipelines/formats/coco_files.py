"""Several COCO JSON files as one: categories are one by name, ids that two files have are kept apart."""

import itertools
import json
import os
import sys
from collections.abc import Container, Iterator, Sequence
from typing import Any

from ..build.problems import Problem, Refused, short
from . import coco_json, image_names, several
from .coco_json import Annotation
from .tool_values import numbers, whole

_OWN = ("segmentation", "iscrowd", "keypoints")  # what two objects of one box may have apart; areas are rounded anew


def load(files: Sequence[str], folders: Sequence[str], found: list[Problem]) -> dict[str, list]:
    """Images, annotations and categories of files with images in `folders`; see `coco_json.load`.

    An image also has its `path`, or why it has none. One that a file before has too, of the same size, is that one,
    with the objects of both; an object that both have is one, with what each says of it.
    """
    trees = []
    for path, folder in zip(files, folders, strict=True):
        if not os.path.isdir(folder):
            raise Refused(f"there is no folder {folder}; give the folder of the images with --images")
        print(f"reading {path}", file=sys.stderr)
        tree = coco_json.load(path, found)
        if not tree["images"]:
            raise Refused(f"{path} has no images: nothing is written")
        paths = image_names.paths(folder, [one["file_name"] for one in tree["images"]])
        for one, place in zip(tree["images"], paths, strict=True):
            one["path"] = place
        trees.append(tree)
    return trees[0] if len(trees) == 1 else _merged(files, trees, found)


def _merged(files: Sequence[str], trees: Sequence[dict[str, list]], found: list[Problem]) -> dict[str, list]:
    merged: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    for path, tree in zip(files, trees, strict=True):
        _add(merged, path, tree, found)
    there = [one for one in merged["images"] if isinstance(one["path"], str)]
    for one, name in zip(there, several.names([(one["file_name"], one["path"]) for one in there]), strict=True):
        one["file_name"] = name
    return merged


def _add(merged: dict[str, list], path: str, tree: dict[str, list], found: list[Problem]) -> None:
    """Adds the parts of a file to those of the files before it."""
    categories = _categories(merged["categories"], path, tree["categories"])
    keys, shared = _images(merged["images"], tree["images"])
    several.report_shared(path, [one["file_name"] for one in tree["images"] if keys[one["id"]] in shared], found)
    known = coco_json.Images({one["id"]: one["file_name"] for one in tree["images"]})
    made = merged["annotations"]
    taken = {whole(one.id) for one in made}
    unused = _unused(taken | {whole(one.id) for one in tree["annotations"]})
    before = {_place(one): number for number, one in enumerate(made) if one.image_id in shared}
    for one in tree["annotations"]:
        key, category = known.key(one.image_id), whole(one.category_id)
        moved = one._replace(
            image_id=f"{short(one.image_id)} of {path}" if key is None else keys[key],
            category_id=categories.get(category, f"{short(one.category_id)} of {path}"),
        )
        first = before.get(_place(moved)) if moved.image_id in shared else None
        both = None if first is None else _both(made[first], moved)
        if both:
            made[first] = both
            continue
        made.append(moved._replace(id=next(unused)) if whole(one.id) in taken else moved)


def _place(annotation: Annotation) -> tuple[Any, Any, str]:
    """Image, category and box, by which an object of two files is found."""
    box = numbers(json.loads(annotation.text).get("bbox"), 4)
    return annotation.image_id, annotation.category_id, repr(box) if box else annotation.text


def _both(first: Annotation, other: Annotation) -> Annotation | None:
    """An object as two files have it, such as its mask and its keypoints; None if they contradict each other."""
    one, two = map(_said, (first, other))
    if any(one[name] != two[name] for name in _OWN if name in one and name in two):
        return None
    return first._replace(text=json.dumps(two | one), has_mask=first.has_mask or other.has_mask)


def _said(annotation: Annotation) -> dict[str, Any]:
    """What an annotation says; without iscrowd it says that it is none."""
    stated = json.loads(annotation.text)
    return {"iscrowd": 0} | {name: value for name, value in stated.items() if value not in (None, [], "")}


def _categories(before: list[dict], path: str, listed: list[dict]) -> dict[int, int]:
    """Adds the categories of a file that the files before do not have; new ids by its own ones."""
    of_name = {one["name"]: one for one in before}
    taken = {one["id"] for one in before}
    unused = _unused(taken | {one["id"] for one in listed})
    ids: dict[int, int] = {}
    for one in listed:
        if one["id"] in ids:
            raise Refused(f"{path}: two categories have the id {one['id']!r}; give each its own")
        first = of_name.get(one["name"])
        if first is None:
            ids[one["id"]] = next(unused) if one["id"] in taken else one["id"]
            before.append(one | {"id": ids[one["id"]]})
            continue
        ids[one["id"]] = first["id"]
        for name in ("keypoints", "skeleton"):
            if one.get(name) and not first.get(name):
                first[name] = one[name]
        if one.get("keypoints") and one["keypoints"] != first["keypoints"]:
            raise Refused(
                f"{path}: {one['name']!r} has other keypoints than in the files before it: correct one of them"
            )
    return ids


def _images(before: list[dict], listed: list[dict]) -> tuple[dict[Any, Any], set]:
    """Adds the images of a file that the files before do not have; new ids by its own ones, and those of the others."""
    of_path = {os.path.normpath(one["path"]): one for one in before if isinstance(one["path"], str)}
    taken = {one["id"] for one in before}
    unused = _unused(taken | {one["id"] for one in listed})
    ids, shared = {}, set()
    for one in listed:
        first = of_path.get(os.path.normpath(one["path"])) if isinstance(one["path"], str) else None
        if first and (_size(first) == _size(one) or None in (_size(first), _size(one))):
            ids[one["id"]] = first["id"]
            shared.add(first["id"])
            if _size(one):
                first |= {"height": one["height"], "width": one["width"]}
            continue
        if one["id"] not in ids:
            ids[one["id"]] = next(unused) if one["id"] in taken else one["id"]
        before.append(one | {"id": ids[one["id"]]})
    return ids, shared


def _size(image: dict) -> tuple[int, int] | None:
    height, width = whole(image.get("height")), whole(image.get("width"))
    return (height, width) if height and width and min(height, width) > 0 else None


def _unused(used: Container) -> Iterator[int]:
    return (number for number in itertools.count(1) if number not in used)
