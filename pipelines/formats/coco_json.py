"""The parts of a COCO JSON file, checked before any image is read."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from tfrecog.cli import files
from tfrecog.data import info

from ..build.problems import Problem, Refused, Reporter, short
from ..classes.keypoint_sigmas import chosen

_USED = ("id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints")


def load(path: str) -> dict[str, Any]:
    """The JSON with its images, annotations and categories; Refused says where it is broken."""
    try:
        tree = json.loads(files.read_text(path, "the COCO JSON file with --annotations"))
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise Refused(f"{where}: broken JSON: {error.msg}. If the file is cut off, download it again.") from error
    except RecursionError as error:
        raise Refused(f"{path} is not in COCO's format: its lists are nested too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise Refused(f"{path} is not in COCO's format: {error}") from error
    if not isinstance(tree, dict):
        raise Refused(f"{path} is not in COCO's format: it holds a {type(tree).__name__}, not an object")
    needed = {"images": {"id": is_key, "file_name": _is_text}, "categories": {"id": is_id, "name": _is_text}}
    for key in ("images", "annotations", "categories"):
        if not isinstance(tree.get(key), list):
            raise Refused(f"{path} is not in COCO's format: it has no list {key!r}")
        for number, entry in enumerate(tree[key]):
            if not isinstance(entry, dict):
                raise Refused(f"{path}: {key}[{number}] is {short(entry)}, which is not an object")
            for name, fits in needed.get(key, {}).items():
                if not fits(entry.get(name)):
                    raise Refused(f"{path}: {key}[{number}] needs {name!r}, and has {short(entry.get(name))}")
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
    posed = [category for category in categories if category.get("keypoints")]
    for category in posed:
        names = category["keypoints"]
        if not isinstance(names, list) or not all(map(_is_text, names)):
            what = f"category {category['name']!r} has the keypoints {short(names)}"
            raise Refused(f"{path}: {what}, which is not a list of names")
        if names != posed[0]["keypoints"]:
            both = f"{posed[0]['name']} and {category['name']}"
            raise Refused(f"{path}: {both} have other keypoints; one list for all is supported")
    keypoints = posed[0]["keypoints"] if posed else []
    skeleton = posed[0].get("skeleton") or [] if posed else []
    ends = range(1, len(keypoints) + 1)
    if not isinstance(skeleton, list) or not all(
        isinstance(b, list) and len(b) == 2 and b[0] in ends and b[1] in ends for b in skeleton
    ):
        what = f"{path} has the skeleton {short(skeleton)}"
        raise Refused(
            f"{what}, which is not a list of pairs of its keypoints, counted from 1; correct it, or take it out"
        )
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


def name_of_image(tree: dict, found: list[Problem]) -> dict[Any, str]:
    """File name by image id; the second image of an id is added to `found`."""
    names: dict[Any, str] = {}
    for image in tree["images"]:
        if image["id"] in names:
            what = f"{names[image['id']]} has the same image id"
            remedy = "It is skipped with the id's first image kept: give each image its own id."
            found.append(Problem("duplicate image id", image["file_name"], what, remedy, str(image["id"])))
        else:
            names[image["id"]] = image["file_name"]
    return names


def annotations_by_image(path: str, tree: dict, facts: info.DatasetInfo, found: list[Problem]) -> dict[Any, list[dict]]:
    """Annotations of each image id that have an image and a category; problems of the others go to `found`."""
    names = name_of_image(tree, found)
    of_image: dict[Any, list[dict]] = {image_id: [] for image_id in names}
    known = {category.id for category in facts.categories}
    used = {a["id"] for a in tree["annotations"] if is_id(a.get("id"))}
    unused, seen = (number for number in itertools.count(1) if number not in used), {}
    for annotation in tree["annotations"]:
        annotation = {key: annotation[key] for key in _USED if key in annotation}
        image_id, number, category = (annotation.get(key) for key in ("image_id", "id", "category_id"))
        file = names.get(image_id) if is_key(image_id) else None
        image = image_id if isinstance(image_id, str) else short(image_id)
        report = Reporter(found, file or path, image, number if is_id(number) else None)
        if file is None:
            what = f"no image has the id {short(image_id)}"
            report("annotation of an unknown image", what, "It is skipped: add the image.")
            continue
        if not is_id(category) or category not in known:
            what = f"no category has the id {short(category)}"
            report("unknown category", what, "It is skipped: add the category, or correct the annotation.")
            continue
        if is_id(number) and seen.get(number) == annotation:
            report("annotation given twice", "the same annotation came before", "It is skipped once: remove one.")
            continue
        if not is_id(number) or number in seen:
            annotation["id"] = next(unused)
        if is_id(number) and number in seen:
            remedy = f"It is kept under the id {annotation['id']}: give each its own id."
            report("duplicate annotation id", "another one has this id", remedy)
        elif number is not None and not is_id(number):
            remedy = f"It is kept under the id {annotation['id']}: give it a number."
            report("id is not a number", f"the id {short(number)} is not a whole number of 64 bits", remedy)
        seen[annotation["id"]] = annotation
        of_image[image_id].append(annotation)
    return of_image


def is_id(value: Any) -> bool:
    """Whether it is a whole number that a record can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_key(value: Any) -> bool:
    """Whether it may be the id of an image: a number or a text."""
    return isinstance(value, str) or is_id(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
