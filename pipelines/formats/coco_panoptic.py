"""COCO's panoptic JSON: what the segments of each image are, so that its PNGs become label maps."""

import json
from collections.abc import Iterable

from tfrecog.data.info import Category

from ..build.problems import Problem, Refused, Reporter, short
from ..classes import pixel_classes
from . import coco_json, tar_files
from .pairs import Pair
from .tool_values import is_text, whole

_VOID = 0  # the number, in the PNG, of what no segment covers


def table(path: str, ignore: Iterable[str] = ()) -> pixel_classes.Table:
    """Table of the categories of a JSON file, in its order, with their colours where it has some."""
    categories = []
    for one in coco_json.load(path, [])["categories"]:
        colour = one.get("color")
        usable = isinstance(colour, list) and len(colour) == 3 and all(isinstance(c, int) for c in colour)
        categories.append(Category(one["name"], one["id"], colour=tuple(colour) if usable else None))
    return pixel_classes.of_categories(categories, ignore, path)


def of_json(path: str, images: str, labels: str, table: pixel_classes.Table, found: list[Problem]) -> list[Pair]:
    """The images of a JSON file and their PNGs, with the label of each segment; adds what is wrong to `found`."""
    tree = coco_json.load(path, found, keep=lambda entry, text: json.loads(text))
    names, made = coco_json.name_of_image(tree, found), {}
    listed = coco_json.Images(names)
    for number, one in enumerate(tree["annotations"]):
        place = f"{path}, annotations[{number}]"
        stated, file, segments = (one.get(key) for key in ("image_id", "file_name", "segments_info"))
        if not is_text(file) or not isinstance(segments, list):
            raise Refused(f"{path}: annotations[{number}] has no file_name or segments_info; give a panoptic JSON file")
        image_id = listed.key(stated)
        report = Reporter(found, file, short(stated) if image_id is None else str(image_id))
        if image_id is None:
            what = f"{place}: no image has the id {short(stated)}"
            report("label file without an image", what, "The image is left out: add it.")
        elif image_id in made:
            what = f"an annotation before is of {names[image_id]} too"
            report("duplicate image id", what, "The image is left out: remove one.")
        else:
            image = tar_files.on_disk(names[image_id], f"{images}/{names[image_id]}")
            label_of = _labels(segments, table, place, report)
            made[image_id] = Pair(str(image_id), image, tar_files.on_disk(file, f"{labels}/{file}"), label_of)
    for image_id in (image_id for image_id in names if image_id not in made):
        what, remedy = f"{path} has no annotation of it", "The image is left out: add its annotation."
        found.append(Problem("image without a label file", names[image_id], what, remedy, str(image_id)))
    return list(made.values())


def _labels(segments: list, table: pixel_classes.Table, place: str, report: Reporter) -> dict[int, int]:
    """Label of each number in the PNG of an annotation."""
    labels = {_VOID: 0}
    for segment in segments:
        stated = segment if isinstance(segment, dict) else {}
        number, category = stated.get("id"), whole(stated.get("category_id"))
        number = whole(number) if type(number) is int else None
        if number is not None and category in table.label_of:
            labels[number] = table.label_of[category]
        else:
            kind = "segment without an id" if number is None else "unknown category"
            report(kind, f"{place}: the segment {short(segment)}", "Its pixels are ignored: correct the JSON.")
    return labels
