"""COCO's panoptic JSON: what the segments of each image are, so that its PNGs become label maps."""

from collections.abc import Iterable

from tfrecog.data.info import Category

from ..build.problems import Problem, Refused, short
from ..classes import pixel_classes
from . import coco_json
from .image_label_pairs import Pair
from .tar_files import File

_VOID = 0  # the number, in the PNG, of what no segment covers


def table(path: str, ignore: Iterable[str] = ()) -> pixel_classes.Table:
    """Table of the categories of a JSON file, in its order, with their colours where it has some."""
    categories = []
    for tree in coco_json.load(path)["categories"]:
        colour = tree.get("color")
        usable = isinstance(colour, list) and len(colour) == 3 and all(isinstance(c, int) for c in colour)
        categories.append(
            Category(tree["name"], tree["id"], colour=(colour[0], colour[1], colour[2]) if usable else None)
        )
    return pixel_classes.of_categories(categories, ignore, path)


def of_json(path: str, images: str, labels: str, table: pixel_classes.Table, found: list[Problem]) -> list[Pair]:
    """The images of a JSON file and their PNGs, with the label of each segment; adds what is wrong to `found`."""
    tree = coco_json.load(path)
    files, made, seen = coco_json.name_of_image(tree, found), [], set()

    def report(kind: str, file: object, what: str, remedy: str, image_id: object) -> None:
        found.append(Problem(kind, str(file), what, f"The image is left out: {remedy}.", str(image_id)))

    for number, one in enumerate(tree["annotations"]):
        image_id, file, segments = (one.get(key) for key in ("image_id", "file_name", "segments_info"))
        if not isinstance(file, str) or not isinstance(segments, list):
            raise Refused(f"{path}: annotations[{number}] has no file_name or segments_info; give a panoptic JSON file")
        if not (isinstance(image_id, str) or coco_json.is_id(image_id)) or image_id not in files:
            what = f"{path}, annotations[{number}]: no image has the id {short(image_id)}"
            report("label file without an image", file, what, "add it", short(image_id))
            continue
        if image_id in seen:
            report(
                "duplicate image id", file, f"an annotation before is of {files[image_id]} too", "remove one", image_id
            )
            continue
        seen.add(image_id)
        image = File(files[image_id], f"{images}/{files[image_id]}")
        numbers = _labels(segments, table, f"{path}, annotations[{number}]", file, str(image_id), found)
        made.append(Pair(str(image_id), image, File(file, f"{labels}/{file}"), numbers))
    for image_id in files:
        if image_id not in seen:
            what = f"{path} has no annotation of it"
            report("image without a label file", files[image_id], what, "add its annotation", image_id)
    return made


def _labels(segments: list, table: pixel_classes.Table, place: str, file: str, image_id: str, found: list[Problem]):
    """Label of each number in the PNG of an annotation."""
    labels = {_VOID: 0}
    for segment in segments:
        number, category = (segment.get(key) if isinstance(segment, dict) else None for key in ("id", "category_id"))
        wrong = "" if coco_json.is_id(number) else "segment without an id"
        if not wrong and not (coco_json.is_id(category) and category in table.label_of):
            wrong = "unknown category"
        if wrong:
            what = f"{place}: the segment {short(segment)}"
            found.append(Problem(wrong, file, what, "Its pixels do not count: correct the JSON.", image_id))
        else:
            labels[number] = table.label_of[category]
    return labels
