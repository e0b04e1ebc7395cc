"""Several COCO JSON files as one: categories are one by name, ids that two files have are kept apart."""

import itertools
import os
import sys
from collections.abc import Container, Iterator, Sequence
from typing import Any

from ..build.problems import Problem, Refused, short
from . import coco_json, image_names, several
from .coco_json import Annotation
from .tool_values import whole


def load(files: Sequence[str], folders: Sequence[str], found: list[Problem]) -> dict[str, list]:
    """Images, annotations and categories of files with images in `folders`; see `coco_json.load`.

    An image also has its `path`, or why it has none. One that a file before has too, of the same size, is that one,
    with the objects of both; an object that both have gets the same id.
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
    numbers = {whole(one.id) for one in merged["annotations"]}
    unused = _unused(numbers | {whole(one.id) for one in tree["annotations"]})
    before = {_told_by(one): one.id for one in merged["annotations"] if one.image_id in shared}
    for one in tree["annotations"]:
        key, category = known.key(one.image_id), whole(one.category_id)
        moved = one._replace(
            image_id=f"{short(one.image_id)} of {path}" if key is None else keys[key],
            category_id=categories.get(category, f"{short(one.category_id)} of {path}"),
        )
        same = before.get(_told_by(moved)) if moved.image_id in shared else None
        if same is not None:
            moved = moved._replace(id=same)
        elif whole(one.id) in numbers:
            moved = moved._replace(id=next(unused))
        merged["annotations"].append(moved)


def _told_by(annotation: Annotation) -> str:
    """What tells an annotation from the others of its image, as a text."""
    return repr(coco_json.content(annotation))


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
