"""Several COCO JSON files as one: categories are one by name, ids that two files have are kept apart."""

import itertools
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tfrecog.data import image_numpy

from ..build.problems import Problem, Refused, short
from . import coco_json, exif, image_names, several, tar_files
from .coco_json import Annotation
from .tool_values import flag, numbers, whole

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
    merged = _Merged(found)
    for path, tree in zip(files, trees, strict=True):
        merged.add(path, tree)
    there = [one for one in merged.images if isinstance(one["path"], str)]
    for one, name in zip(there, several.names([(one["file_name"], one["path"]) for one in there]), strict=True):
        one["file_name"] = name
    return {"images": merged.images, "annotations": merged.annotations, "categories": merged.categories}


class _Ids:
    """Ids that one file after the other gives: one that a file before has is replaced by an unused number."""

    def __init__(self):
        self._taken, self._kept, self._own, self._numbers = set(), set(), set(), itertools.count(1)

    def begin(self, own: Iterable) -> None:
        """Begins a file, which has its `own` ids."""
        self._taken |= self._kept
        self._kept, self._own = set(), set(own)

    def of(self, one: Any) -> Any:
        if one in self._taken:
            one = next(number for number in self._numbers if number not in self._taken and number not in self._own)
        self._kept.add(one)
        return one


class _Merged:
    """The images, annotations and categories of the files that were added."""

    def __init__(self, found: list[Problem]):
        self.images, self.annotations, self.categories = [], [], []
        self._found = found
        self._image_ids, self._ids = _Ids(), _Ids()
        self._of_path: dict[str, list[dict]] = defaultdict(list)
        self._turned = set()  # ids of images whose stated size does not count
        self._of_image: dict[Any, list[int]] = defaultdict(list)  # places of annotations
        self._of_place: dict[Any, dict[tuple, list[int]]] = {}  # the same by image and `_place`, of shared images

    def add(self, path: str, tree: dict[str, list]) -> None:
        """Adds a file."""
        categories = _categories(self.categories, path, tree["categories"])
        keys, shared = self._add_images(path, tree["images"])
        several.report_shared(path, [one["file_name"] for one in shared.values()], self._found)
        known = coco_json.Images({one["id"]: one["file_name"] for one in tree["images"]})
        self._ids.begin(whole(one.id) for one in tree["annotations"])
        new = []
        for one in tree["annotations"]:
            key, category = known.key(one.image_id), whole(one.category_id)
            moved = one._replace(
                image_id=f"{short(one.image_id)} of {path}" if key is None else keys[key],
                category_id=categories.get(category, f"{short(one.category_id)} of {path}"),
            )
            if key is not None and keys[key] in shared and self._joined(moved):
                continue
            number = whole(one.id)
            new.append(moved if number is None else moved._replace(id=self._ids.of(number)))
        for number, one in enumerate(new, len(self.annotations)):
            self._of_image[one.image_id].append(number)
            if one.image_id in self._of_place:
                self._of_place[one.image_id][_place(one)].append(number)
        self.annotations += new

    def _joined(self, annotation: Annotation) -> bool:
        """Joins an annotation to the same one of a file before, if there is one."""
        image = annotation.image_id
        if image not in self._of_place:
            self._of_place[image] = defaultdict(list)
            for number in self._of_image[image]:
                self._of_place[image][_place(self.annotations[number])].append(number)
        for number in self._of_place[image].get(_place(annotation), ()):
            both = _both(self.annotations[number], annotation)
            if both:
                self.annotations[number] = both
                return True
        return False

    def _add_images(self, path: str, listed: list[dict]) -> tuple[dict[Any, Any], dict[Any, dict]]:
        """Adds the images that the files before do not have; ids by those of the file, and the images of both by id."""
        ids, shared, new = {}, {}, []
        self._image_ids.begin(one["id"] for one in listed)
        for one in listed:
            if one["id"] in ids:  # The second of an id is reported, and left out, with those of one file.
                self.images.append(one | {"id": ids[one["id"]]})
                continue
            first = self._known(path, one)
            ids[one["id"]] = first["id"] if first else self._image_ids.of(one["id"])
            if first:
                shared[first["id"]] = one
                continue
            self.images.append(one | {"id": ids[one["id"]]})
            new += [self.images[-1]] if isinstance(one["path"], str) else []
        for one in new:
            self._of_path[os.path.normpath(one["path"])].append(one)
        return ids, shared

    def _known(self, path: str, image: dict) -> dict | None:
        """The image of a file before that is this one; with its size, if that is stated alike."""
        before = self._of_path.get(os.path.normpath(image["path"]), ()) if isinstance(image["path"], str) else ()
        size = _size(image)
        for one in before:
            if None in (_size(one), size) or _size(one) == size:
                if size and one["id"] not in self._turned:
                    one |= {"height": image["height"], "width": image["width"]}
                return one
            if size and _size(one) == size[::-1] and _is_turned(image["path"]):
                what = f"{path} states {_sides(size)}, and a file before it {_sides(size[::-1])}"
                remedy = "Its EXIF data turn it, and its boxes decide how it was annotated: look at it in `check`."
                name, key = image["file_name"], str(one["id"])
                self._found.append(Problem("image of two sizes in two files", name, what, remedy, key))
                self._turned.add(one["id"])
                del one["height"], one["width"]
                return one
        return None


def _place(annotation: Annotation) -> tuple[Any, str]:
    """Category and box, by which an object of two files is found in its image."""
    box = numbers(json.loads(annotation.text).get("bbox"), 4)
    return annotation.category_id, repr(box) if box else annotation.text


def _both(first: Annotation, other: Annotation) -> Annotation | None:
    """An object as two files have it, such as its mask and its keypoints; None if they contradict each other."""
    one, two = map(_said, (first, other))
    if any(one[name] != two[name] for name in _OWN if name in one and name in two):
        return None
    return first._replace(text=json.dumps(two | one))


def _said(annotation: Annotation) -> dict[str, Any]:
    """What an annotation says, flags as they are read; without iscrowd it says that it is none."""
    stated = {name: value for name, value in json.loads(annotation.text).items() if value not in (None, [], "")}
    crowd = stated.get("iscrowd", 0)
    return stated | {"iscrowd": crowd if flag(crowd) is None else int(flag(crowd) or 0)}


def _categories(before: list[dict], path: str, listed: list[dict]) -> dict[int, int]:
    """Adds the categories of a file that the files before do not have; new ids by its own ones."""
    of_name = {one["name"]: one for one in before}
    taken = {one["id"] for one in before}
    used = taken | {one["id"] for one in listed}
    unused = (number for number in itertools.count(1) if number not in used)
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


def _size(image: dict) -> tuple[int, int] | None:
    height, width = whole(image.get("height")), whole(image.get("width"))
    return (height, width) if height and width and min(height, width) > 0 else None


def _sides(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"


def _is_turned(path: str) -> bool:
    """Whether the EXIF data of a picture exchange its height and width."""
    try:
        stored = image_numpy.opened(tar_files.on_disk(path, path).read())
    except (OSError, image_numpy.Unreadable):
        return False
    as_stored, upright = exif.sizes(stored)
    return as_stored != upright
