"""COCO's panoptic JSON: what the segments of each image are, so that its PNGs become label maps."""

from collections.abc import Iterable

from tfrecog.data.info import Category

from ..build.problems import Problem, Refused
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
    files = {image["id"]: image["file_name"] for image in tree["images"]}
    label_of, made, seen = table.label_of, [], set()

    def report(kind: str, file: object, what: str, remedy: str, image_id: object) -> None:
        found.append(Problem(kind, str(file), what, f"The image is left out: {remedy}.", str(image_id)))

    for number, one in enumerate(tree["annotations"]):
        image_id, file, segments = (one.get(key) for key in ("image_id", "file_name", "segments_info"))
        if not isinstance(file, str) or not isinstance(segments, list):
            raise Refused(f"{path}: annotations[{number}] has no file_name or segments_info; give a panoptic JSON file")
        if image_id not in files:
            report("label file without an image", file, f"no image has the id {image_id!r}", "add it", image_id)
            continue
        if image_id in seen:
            report(
                "duplicate image id", file, f"an annotation before is of {files[image_id]} too", "remove one", image_id
            )
            continue
        seen.add(image_id)
        known = {_VOID: 0}
        for segment in segments:
            category = segment.get("category_id") if isinstance(segment, dict) else None
            if category in label_of:
                known[segment.get("id")] = label_of[category]
            else:
                what = f"the segment {segment!r} is of no category"
                found.append(Problem("unknown category", file, what, "Its pixels do not count.", str(image_id)))
        pair = File(files[image_id], f"{images}/{files[image_id]}"), File(file, f"{labels}/{file}")
        made.append(Pair(str(image_id), *pair, known))
    for image_id in files.keys() - seen:
        what = f"{path} has no annotation of it"
        report("image without a label file", files[image_id], what, "add its annotation", image_id)
    return made
