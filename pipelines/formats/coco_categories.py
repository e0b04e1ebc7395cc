"""The categories of a COCO JSON file as the classes of a dataset: in their order, by a list, or by its other splits."""

import dataclasses
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfrecog.data import info
from tfrecog.data.info import Category

from ..build.problems import Problem, Refused, short
from ..classes import keypoint_sides, keypoint_sigmas, renaming
from . import coco_json, tool_values


@dataclass(frozen=True)
class Wanted:
    """What a person says of the classes and keypoints; all of it may be empty."""

    names: Sequence[str] = ()  # of the classes, in the order of their labels
    names_file: str = ""  # where they are
    others: info.DatasetInfo | None = None  # of the other splits of the dataset
    masks: bool = True
    sigmas: Sequence[float] = ()  # of the keypoints; see `info.DatasetInfo`
    flip_pairs: Sequence[str] = ()  # see `keypoint_sides`
    renames: Mapping[str, str] = field(default_factory=dict)  # see `renaming`


def dataset_info(
    path: str, tree: dict, found: list[Problem], wanted: Wanted
) -> tuple[info.DatasetInfo, dict[int, int]]:
    """What dataset.json says of a COCO JSON file, and the label of each of its categories by id.

    Classes are the categories in the order of their ids; with a list, or where the dataset has other splits, those that
    are joined by name. All categories with keypoints must share them.

    Raises:
        Refused: categories or keypoints that no dataset can have.
    """
    uses = Counter(tool_values.whole(one.category_id) for one in tree["annotations"])
    listed = sorted(tree["categories"], key=lambda category: category["id"])
    known = wanted.names or (wanted.others.names if wanted.others else ())
    listed = _without_roots(path, listed, uses, found, known)
    _refuse_twice(path, listed)
    renaming.names([one["name"] for one in listed], wanted.renames, path, found)
    listed = [one | {"name": wanted.renames.get(one["name"], one["name"])} for one in listed]
    listed = [one for one in listed if one["name"]]
    classes = _classes(listed, wanted)
    labels = {one.name: label for label, one in enumerate(classes, 1)}
    _report_others(path, listed, labels, uses, found, wanted)
    masks = wanted.masks and (
        not tree["annotations"] or any(coco_json.has_mask(json.loads(one.text)) for one in tree["annotations"])
    )
    if wanted.masks and not masks:
        what, remedy = "no annotation has a mask (segmentation)", "Boxes are written without masks, as with --nomasks."
        found.append(Problem("no masks", path, what, remedy))
    joints, skeleton = _keypoints(path, listed)
    if not joints and not tree["annotations"] and wanted.others:  # Test sets do not name them.
        facts = dataclasses.replace(wanted.others, categories=classes, splits={}, masks=masks)
    else:
        facts = info.DatasetInfo(
            classes,
            splits={},
            keypoints=joints,
            flip_pairs=keypoint_sides.chosen(wanted.flip_pairs, joints, path),
            skeleton=skeleton,
            keypoint_sigmas=keypoint_sigmas.chosen(wanted.sigmas, joints, path),
            masks=masks,
        )
    return facts, {one["id"]: labels[one["name"]] for one in listed if one["name"] in labels}


def _without_roots(path: str, listed: list[dict], uses: Counter, found: list[Problem], known: Sequence[str]) -> list:
    """The categories without those that only stand above others, as Roboflow writes them; `known` are classes."""
    below = defaultdict(set)
    for one in listed:
        if isinstance(one.get("supercategory"), str):
            below[one["supercategory"]].add(one["id"])
    kept = []
    for one in listed:
        unused = not uses[one["id"]] if uses else one.get("supercategory") == "none"
        if below[one["name"]] - {one["id"]} and unused and one["name"] not in known:
            what = f"category {one['id']}, {one['name']!r}, has no annotation and is the supercategory of others"
            remedy = "It is left out of the classes; if it is one, list it with the others in --classes."
            found.append(Problem("category above others", path, what, remedy))
        else:
            kept.append(one)
    return kept


def _refuse_twice(path: str, listed: list[dict]) -> None:
    for what in ("id", "name"):
        counts = Counter(one[what] for one in listed)
        twice = next((value for value, count in counts.items() if count > 1), None)
        if twice is not None:
            raise Refused(f"{path}: two categories have the {what} {twice!r}; give each its own")
    if not listed:
        raise Refused(f"{path} has no categories; list those of the annotations")


def _classes(listed: list[dict], wanted: Wanted) -> tuple[Category, ...]:
    """The classes of the other splits, or those of a list of names, or the categories."""
    names = wanted.names or list(dict.fromkeys(one["name"] for one in listed))
    if wanted.others and (not wanted.names or tuple(names) == wanted.others.names):
        return wanted.others.categories
    id_of = {one["name"]: one["id"] for one in reversed(listed)}
    unused = (number for number in itertools.count(1) if number not in id_of.values())
    return tuple(Category(name, id_of[name] if name in id_of else next(unused)) for name in names)


def _report_others(
    path: str, listed: list[dict], classes: Collection[str], uses: Counter, found: list[Problem], wanted: Wanted
) -> None:
    """Reports the categories that are no classes; Refused if no list of classes says so and they have annotations."""
    for one in listed:
        if one["name"] in classes:
            continue
        category = f"category {one['id']}, {one['name']!r}"
        if uses[one["id"]] and not wanted.names:
            raise Refused(
                f"{path}: {category}, has {uses[one['id']]:,} annotations, and the other splits of the dataset have "
                f"the classes {short(list(classes))}. Splits share classes by name: rename it, or build all of them "
                "with --classes and a file of all names, one a line"
            )
        where = f"line of {wanted.names_file}" if wanted.names else "class of the other splits of the dataset"
        remedy = "It is left out: name it there, if it is to be one."
        what = f"{category}, which {uses[one['id']]:,} annotations have, is no {where}"
        found.append(Problem("category that is no class", path, what, remedy))


def _keypoints(path: str, listed: list[dict]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the keypoints that all categories with some share, and pairs of their positions: the skeleton."""
    posed = [one for one in listed if one.get("keypoints")]
    for one in posed:
        names = one["keypoints"]
        if not isinstance(names, list) or not all(map(tool_values.is_text, names)):
            what = f"category {one['name']!r} has the keypoints {short(names)}"
            raise Refused(f"{path}: {what}, which is not a list of names")
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise Refused(f"{path}: category {one['name']!r} has two keypoints {twice!r}; give each its own name")
        if names != posed[0]["keypoints"]:
            both = f"{posed[0]['name']} and {one['name']}"
            raise Refused(f"{path}: {both} have other keypoints; one list for all is supported")
    if not posed:
        return (), ()
    names, bones = posed[0]["keypoints"], posed[0].get("skeleton") or []
    skeleton = _bones(bones, len(names))
    if skeleton is None:
        what = f"{path}: category {posed[0]['name']!r} has the skeleton {short(bones)}"
        raise Refused(
            f"{what}, which is not a list of pairs of its keypoints, counted from 1; correct it, or take it out"
        )
    return tuple(names), skeleton


def _bones(skeleton: Any, joints: int) -> tuple[tuple[int, int], ...] | None:
    """Pairs of positions of keypoints; None if it is no list of pairs of numbers from 1 to `joints`."""
    bones: list[tuple[int, int]] = []
    for pair in skeleton if isinstance(skeleton, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2:
            return None
        a, b = map(tool_values.whole, pair)
        if a is None or b is None or not (1 <= a <= joints and 1 <= b <= joints):
            return None
        bones.append((a - 1, b - 1))
    return tuple(bones)
