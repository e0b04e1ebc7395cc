"""The parts of a COCO JSON file, checked before any image is read."""

import json
from collections.abc import Sequence
from typing import Any

from tfrecog.data import info

from ..build.problems import Problem, Refused
from ..classes.keypoint_sigmas import chosen
from . import text_file

_USED = ("id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints")


def load(path: str) -> dict[str, Any]:
    """The JSON with its images, annotations and categories; Refused says where it is broken."""
    try:
        tree = json.loads(text_file.read(path, "the COCO JSON file with --annotations"))
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise Refused(f"{where}: broken JSON: {error.msg}. If the file is cut off, download it again.") from error
    except RecursionError as error:
        raise Refused(f"{path} is not in COCO's format: its lists are nested too deep") from error
    if not isinstance(tree, dict):
        raise Refused(f"{path} is not in COCO's format: it holds a {type(tree).__name__}, not an object")
    for key in ("images", "annotations", "categories"):
        if not isinstance(tree.get(key), list):
            raise Refused(f"{path} is not in COCO's format: it has no list {key!r}")
        wrong = next((entry for entry in tree[key] if not isinstance(entry, dict)), None)
        if wrong is not None:
            raise Refused(f"{path}: {key!r} holds {wrong!r}, which is not an object")
    needed = {"images": {"id": int | str, "file_name": str}, "categories": {"id": int, "name": str}}
    for key, kinds in needed.items():
        for number, entry in enumerate(tree[key]):
            for name, kind in kinds.items():
                value = entry.get(name)
                if not isinstance(value, kind) or (name == "id" and not isinstance(value, str) and not _is_id(value)):
                    raise Refused(f"{path}: {key}[{number}] needs {name!r}, and has {entry.get(name)!r}")
    return tree


def dataset_info(path: str, tree: dict, *, masks: bool, sigmas: Sequence[float] = ()) -> info.DatasetInfo:
    """Categories in the order of their ids, and the keypoints, which all categories that have some must share.

    `sigmas` are those of the keypoints (see `info.DatasetInfo`); without, COCO's for COCO's person, else a usual one.
    """
    categories = sorted(tree["categories"], key=lambda category: category["id"])
    for what in ("id", "name"):
        values = [category[what] for category in categories]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise Refused(f"{path}: two categories have the {what} {twice!r}; give each its own")
    if not categories:
        raise Refused(f"{path} has no categories; list those of the annotations")
    lists = {category["name"]: category["keypoints"] for category in categories if category.get("keypoints")}
    keypoints = next(iter(lists.values()), [])
    other = next((name for name, names in lists.items() if names != keypoints), None)
    if other is not None:
        raise Refused(f"{path}: {next(iter(lists))} and {other} have other keypoints; one list for all is supported")
    skeleton = next((category.get("skeleton") or [] for category in categories if category.get("keypoints")), [])
    return info.DatasetInfo(
        categories=tuple(info.Category(category["name"], category["id"]) for category in categories),
        splits={},
        keypoints=tuple(keypoints),
        flip_pairs=flip_pairs(keypoints),
        skeleton=tuple((a - 1, b - 1) for a, b in skeleton),
        keypoint_sigmas=chosen(sigmas, keypoints, path),
        masks=masks,
    )


def flip_pairs(names: list[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the keypoints that change places in a mirror: left_eye and right_eye."""
    mirrored = {name: name.replace("left", "right").replace("Left", "Right") for name in names}
    return tuple(
        (names.index(name), names.index(other)) for name, other in mirrored.items() if other != name and other in names
    )


def annotations_by_image(path: str, tree: dict, facts: info.DatasetInfo, found: list[Problem]) -> dict[Any, list[dict]]:
    """Annotations of each image id that have an image and a category; problems of the others go to `found`."""
    names: dict[Any, str] = {}
    for image in tree["images"]:
        if image["id"] in names:
            what = f"{names[image['id']]} has the same image id"
            remedy = "It is skipped with the id's first image kept: give each image its own id."
            found.append(Problem("duplicate image id", image["file_name"], what, remedy, str(image["id"])))
        else:
            names[image["id"]] = image["file_name"]
    of_image: dict[Any, list[dict]] = {image_id: [] for image_id in names}
    known = {category.id for category in facts.categories}
    numbers = [a["id"] for a in tree["annotations"] if _is_id(a.get("id"))]
    unused, seen = max(numbers, default=0) + 1, {}
    for annotation in tree["annotations"]:
        annotation = {key: annotation[key] for key in _USED if key in annotation}
        image_id, number = annotation.get("image_id"), annotation.get("id")
        where = names.get(image_id) if isinstance(image_id, int | str) else None

        def report(kind, what, remedy, where=where, image_id=image_id, number=number):
            shown = number if _is_id(number) else None
            found.append(Problem(kind, where or path, what, remedy, str(image_id), shown))

        if where is None:
            what = f"no image has the id {image_id!r}"
            report("annotation of an unknown image", what, "It is skipped: add the image.")
            continue
        if not _is_id(annotation.get("category_id")) or annotation["category_id"] not in known:
            what = f"no category has the id {annotation.get('category_id')!r}"
            report("unknown category", what, "It is skipped: add the category, or correct the annotation.")
            continue
        if number in seen and seen[number] == annotation:
            report("annotation given twice", "the same annotation came before", "It is skipped once: remove one.")
            continue
        if not _is_id(number) or number in seen:
            if number is not None:
                what = (
                    "another one has this id" if _is_id(number) else f"the id {number!r} is no whole number of 64 bits"
                )
                report("duplicate annotation id", what, f"It is kept under the id {unused}: give each its own id.")
            annotation["id"], number, unused = unused, unused, unused + 1
        seen[number] = annotation
        of_image[image_id].append(annotation)
    return of_image


def _is_id(value: Any) -> bool:
    """Whether it is a whole number that a record can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
