"""The parts of a COCO JSON file, checked before any image is read; see `tool_values` for what tools write."""

import contextlib
import gc
import itertools
import json
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import msgspec

from ..build.problems import Problem, Refused, Reporter, short
from . import json_stream
from .tool_values import is_text, whole

GIVEN_TWICE = "annotation given twice"
_USED = ("bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints")
_KEPT = "It is kept under the id {}: "


class _Image(TypedDict, total=False):
    """What is read of an image."""

    id: Any
    file_name: Any
    height: Any
    width: Any


class _Ids(TypedDict, total=False):
    """What is read of an annotation but for its text."""

    image_id: Any
    id: Any
    category_id: Any


# The numbers of polygons are not used here: most of the time would go into making objects of them.
_LONG = {
    "images": json_stream.Elements(quick=msgspec.json.Decoder(_Image)),
    "annotations": json_stream.Elements(json.JSONDecoder(parse_float=str.encode), msgspec.json.Decoder(_Ids)),
}


class Annotation(NamedTuple):
    """What an annotation is looked up by, as it is written or as `annotations_by_image` has read it, and its text."""

    image_id: Any
    id: Any
    category_id: Any
    text: str

    @classmethod
    def of(cls, entry: dict, text: str) -> "Annotation":
        """That of an element of the list, whose fractions may be bytes, and its text."""
        image, number, category = entry.get("image_id"), entry.get("id"), entry.get("category_id")
        if not type(image) is type(number) is type(category) is int:
            image, number, category = map(json.loads(text).get, _Ids.__annotations__)
        return cls(image, number, category, text)


def has_mask(annotation: dict) -> bool:
    """Whether its segmentation holds anything: where there is no mask, tools write [], [[]] or empty run lengths."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return bool(segmentation.get("counts"))
    if isinstance(segmentation, list):
        return any(polygon not in ([], None) for polygon in segmentation)
    return bool(segmentation)


def load(path: str, found: list[Problem], keep: Callable[[dict, str], Any] = Annotation.of) -> dict[str, list]:
    """Images, annotations and categories of the JSON, whose ids are read; Refused says where it is broken.

    Ids of categories and of images become whole numbers where they are 1.0; a category's also where it is "1". Of an
    annotation stays what `keep` makes of it and of its text: COCO's polygons take as objects six times their text.
    """
    with uncollected():
        tree = _read(path, keep)
    if tree.get("annotations") is None:
        tree["annotations"] = []
        what, remedy = "it has no list 'annotations'", "Its images are written without objects, as those of a test set."
        found.append(Problem("no annotations", path, what, remedy))
    for key in ("images", "annotations", "categories"):
        if not isinstance(tree.get(key), list):
            raise Refused(f"{path} is not in COCO's format: it has no list {key!r}")
    for number, entry in enumerate(tree["categories"]):
        _object(path, "categories", number, entry)
    for key, name, read, what in (
        ("images", "id", image_key, "a whole number or a text"),
        ("images", "file_name", _text, "a text"),
        ("categories", "id", whole, "a whole number"),
        ("categories", "name", lambda value: _text(value) or None, "a text that is not empty"),
    ):
        for number, entry in enumerate(tree[key]):
            value = read(entry.get(name))
            if value is None:
                given = f"{path}: {key}[{number}] needs {name!r}, {what}, and has {short(entry.get(name))}"
                raise Refused(f"{given}; correct it, or take it out")
            entry[name] = value
    return tree


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Lets the garbage collector rest, which looks through millions of objects again and again where none dies."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(path: str, keep: Callable[[dict, str], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in json_stream.members(path, _LONG, "the COCO JSON file with --annotations"):
        if key in tree:
            raise Refused(f"{path} has the list {key!r} twice, of which one would be lost: make one list of them")
        if key == "annotations" and isinstance(value, Iterator):
            tree[key] = [keep(_object(path, key, n, entry), text) for n, (entry, text) in enumerate(value)]
        elif key == "images" and isinstance(value, Iterator):
            kept = (_object(path, key, n, entry) for n, (entry, _) in enumerate(value))
            tree[key] = [{name: entry[name] for name in _Image.__annotations__ if name in entry} for entry in kept]
        elif key in ("images", "annotations", "categories"):
            tree[key] = value
    return tree


def _object(path: str, key: str, number: int, entry: Any) -> dict:
    if not isinstance(entry, dict):
        raise Refused(f"{path}: {key}[{number}] is {short(entry)}, which is not an object")
    return entry


def image_key(value: Any) -> int | str | None:
    """What an image's id is looked up by: a whole number or a text; None if it is neither."""
    return _text(value) if isinstance(value, str) else whole(value)


def _text(value: Any) -> str | None:
    return value if is_text(value) else None


def name_of_image(tree: dict, found: list[Problem]) -> dict[int | str, str]:
    """File name by image id; the second image of an id is added to `found`."""
    names: dict[int | str, str] = {}
    for image in tree["images"]:
        if image["id"] in names:
            what = f"{names[image['id']]} has the same image id"
            remedy = "It is skipped with the id's first image kept: give each image its own id."
            found.append(Problem("duplicate image id", image["file_name"], what, remedy, str(image["id"])))
        else:
            names[image["id"]] = image["file_name"]
    return names


class Images:
    """The images that ids of annotations name: 1, 1.0 and "1" are one id, unless two images have two of them."""

    def __init__(self, names: dict[int | str, str]):
        self.names, self._by_number = names, {}
        for key in names:
            self._by_number.setdefault(whole(key), []).append(key)

    def key(self, value: Any) -> int | str | None:
        """The id of the image as `images` has it; None if there is none, or if it may be several."""
        if type(value) is int and value in self.names:  # almost always
            return value
        key = image_key(value)
        if key in self.names:
            return key
        alike = self._by_number.get(whole(value), []) if whole(value) is not None else []
        return alike[0] if len(alike) == 1 else None


def annotations_by_image(
    files: Sequence[str], tree: dict, classes: Container[int], found: list[Problem]
) -> dict[int | str, list[Annotation]]:
    """The annotations of each image id that have a class; problems of the others go to `found`.

    `classes` has the ids of the categories that are used. Ids are whole numbers, and no two annotations have one. Of
    several `files` an
    unknown image is "ID of FILE", as `coco_files` joins them.
    """
    images = Images(name_of_image(tree, found))
    of_image: dict[int | str, list[Annotation]] = {image_id: [] for image_id in images.names}
    known = {category["id"]: category["name"] for category in tree["categories"]}
    unused, shared = _unused(tree["annotations"]), _shared(tree["annotations"])
    seen = dict.fromkeys(shared)  # the first annotation of each
    for annotation in tree["annotations"]:
        image, number, category, _ = annotation
        plain = type(image) is type(number) is type(category) is int and whole(number) is not None
        if plain and image in of_image and category in classes and number not in shared:  # almost always
            of_image[image].append(annotation)
            continue
        key, number, category = images.key(image), whole(number), whole(category)
        if key is not None and category in classes and number is not None and not seen.get(number):
            if number in shared:
                seen[number] = annotation
            of_image[key].append(annotation._replace(id=number, category_id=category))
            continue
        said = [one for one in files if str(annotation.image_id).endswith(f" of {one}")] or files[:1]
        file = max(said, key=len) if key is None else images.names[key]
        image_id = annotation.image_id if is_text(annotation.image_id) else short(annotation.image_id)
        report = Reporter(found, file, image_id, number)
        if key is None:
            what = f"no image has the id {short(annotation.image_id)}"
            report("annotation of an unknown image", what, "It is skipped: add the image.")
            continue
        if category not in classes:
            _report_category(annotation, known, report)
            continue
        first = seen.get(number)
        if first and _content(first) == _content(annotation):
            report(GIVEN_TWICE, "the same annotation came before", "It is skipped once: remove one.")
            continue
        own = next(unused)
        if number is not None:
            report("duplicate annotation id", "another one has this id", _KEPT.format(own) + "give each its own id.")
        elif annotation.id is not None:
            what = f"the id {short(annotation.id)} is not a whole number of 64 bits"
            report("id is not a number", what, _KEPT.format(own) + "give it a number.")
        of_image[key].append(annotation._replace(id=own, category_id=category))
    return of_image


def _unused(annotations: list[Annotation]) -> Iterator[int]:
    """Ids that no annotation has."""
    used = {whole(one.id) for one in annotations}
    yield from (number for number in itertools.count(1) if number not in used)


def _shared(annotations: list[Annotation]) -> set[int | None]:
    """Ids that more than one annotation has."""
    ids = [one.id for one in annotations]
    if {*map(type, ids)} <= {int} and len({*ids}) == len(ids):  # almost always
        return set()
    once: set[int | None] = set()
    return {number for number in map(whole, ids) if number in once or once.add(number)}


def _report_category(annotation: Annotation, known: dict[int, str], report: Reporter) -> None:
    category = whole(annotation.category_id)
    if category in known:
        what = f"category {category}, {known[category]!r}, is no class"
        report("not of the classes", what, "It is skipped: add the category to --classes, if it is to be one.")
    else:
        what = f"no category has the id {short(annotation.category_id)}"
        report("unknown category", what, "It is skipped: add the category, or correct the annotation.")


def _content(annotation: Annotation) -> list:
    entry = json.loads(annotation.text)
    return [image_key(annotation.image_id), whole(annotation.category_id), *map(entry.get, _USED)]
