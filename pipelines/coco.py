r"""Builds a split of a dataset from images and COCO JSON: instances or person_keypoints, of COCO or in its format.

  python -m pipelines.coco --images=coco/train2017 --annotations=coco/annotations/instances_train2017.json \
      --split=train --out=data/coco
  python -m pipelines.check --data=data/coco

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. Masks may be
polygons or run lengths, compressed or not; crowds are kept, and so are objects without a mask. Categories become labels
1..K in the order of their ids, or of the lines of --classes. All splits of a folder share their classes, by name.

dataset.json gets the OKS sigma of each keypoint, which keypoint AP needs: COCO's for COCO's person, --keypoint_sigmas
for others, or 0.05 for each. Keypoints of the left and the right change places when an image is flipped: those whose
names say so (left_eye, L_Eye, REye), or those of --flip_pairs.

With --label_maps=voc an image gets the class of each pixel instead of its objects, for --task=segmentation: one of the
21 classes of Pascal VOC, drawn as torchvision trains with them. Pixels where masks overlap are ignored. --min_area=1000
(torchvision's training) leaves out images whose objects of those classes cover this many pixels or fewer.

Each problem with an image or an annotation is reported with its ids and a remedy: it is left out, and the rest is
written.
"""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length, NonNegative, Positive, Unless, When
from tfrecog.data import records

from .build import image_records, label_map_records, shards
from .build.command import PlacedFlags, build_share, summary
from .build.problems import Collect, Problem, Refused, Reporter, refuse_losses, short
from .classes import image_classes, keypoint_sides, renaming
from .classes import keypoint_sigmas as sigmas
from .formats import (
    coco_annotation,
    coco_as_voc_labels,
    coco_categories,
    coco_files,
    coco_json,
    exif,
    image_file,
    several,
    tar_files,
)
from .formats.tool_values import whole

_AGAIN = "Put the file there or download it again, or take the image out of the JSON."
_MAPS = ("label_maps", "voc")


@dataclass(frozen=True)
class Picture:
    """An image of the JSON and its annotations."""

    name: str
    file: tar_files.File
    image_id: str
    size: tuple[int, int] | None  # height, width, where the JSON has them
    annotations: list[coco_json.Annotation]

    def fingerprint(self) -> str:
        parts = [repr((self.name, self.file, self.image_id, self.size))]
        for _, number, category, text in self.annotations:
            parts += f"\n{number} {category} ", text
        return "".join(parts if self.annotations else [*parts, "\n"])


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures; goes to the worker processes."""

    label_of: dict[int, int]  # by id of the category
    names: tuple[str, ...]
    masks: bool
    joints: int
    label_maps: bool
    orientation: exif.Rule

    def __call__(self, picture: Picture, found: list[Problem]) -> records.Record:
        report = Reporter(found, picture.name, picture.image_id)
        annotations = coco_annotation.parsed(picture.annotations)
        shown = {"rule": self.orientation, "reach": coco_annotation.reach(annotations)}
        image = image_file.read(picture.file, report, picture.size, replace=_AGAIN, **shown)
        has = {"masks": self.masks, "joints": self.joints}
        objects = coco_annotation.read(annotations, self.label_of, image.size, report, **has)
        if self.label_maps:
            labels = coco_as_voc_labels.draw(objects, image.size)
            return label_map_records.record(image, labels, {}, picture.name, report)
        return image_records.with_objects(image, picture.name, picture.image_id, self.names, objects, **has)


@dataclass(frozen=True)
class Coco(PlacedFlags):
    """The flags."""

    images: Annotated[
        str, "Folder of the images; of several JSON files one for all of them, or one for each, with commas between."
    ] = ""
    annotations: Annotated[str, "COCO JSON file; or several, as patterns or with commas between them."] = ""
    classes: Annotated[str, "File of the classes, one name per line in the order of their labels.", Unless(*_MAPS)] = ""
    rename: Annotated[renaming.Flag, Unless(*_MAPS)] = ()
    masks: Annotated[bool, "Write masks, if there are any.", Unless(*_MAPS)] = True
    keypoint_sigmas: Annotated[tuple[float, ...], sigmas.MEANING, Positive(), Length(), Unless(*_MAPS)] = ()
    flip_pairs: Annotated[tuple[str, ...], keypoint_sides.MEANING, Length(), Unless(*_MAPS)] = ()
    png_masks: Annotated[bool, "Write each mask as a PNG too, for readers such as Model Garden's.", Unless(*_MAPS)] = (
        False
    )
    label_maps: Annotated[Literal["", "voc"], "Write the class of each pixel, one of VOC's, and no objects."] = ""
    min_area: Annotated[
        int,
        "Leave out images whose objects cover this many pixels or fewer; 0: off.",
        NonNegative("pixels"),
        When(*_MAPS),
    ] = 0


def build(flags: Coco) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    with coco_json.uncollected():
        source, label_of = _source(flags)
        gc.freeze()  # What is listed stays until the end.

    def classes(picture: Picture) -> list[int | None]:
        return [label_of.get(one.category_id) for one in picture.annotations]

    try:
        return build_share(source, flags, classes)
    finally:
        gc.unfreeze()


def _source(flags: Coco) -> tuple[shards.Source, dict[int, int]]:
    """What is built, and the labels by id of the category."""
    found: list[Problem] = []
    files = several.paths(flags.annotations)
    tree, json_file = coco_files.load(files, several.folders(flags.images, files), found), ",".join(files)
    if flags.label_maps:
        facts, label_of = coco_as_voc_labels.FACTS, coco_as_voc_labels.label_of_category(json_file, tree)
        others = {one["id"] for one in tree["categories"]} - set(label_of)
        tree["annotations"] = [one for one in tree["annotations"] if whole(one.category_id) not in others]
        of_image = coco_json.annotations_by_image(files, tree, label_of, found)
        of_image = coco_as_voc_labels.large_enough(of_image, flags.min_area)
        maker = Maker(label_of, (), True, 0, True, flags.orientation)
        objects = len(of_image)
        if not of_image:
            raise Refused(f"no image of {json_file} has objects of more than --min_area={flags.min_area} pixels")
    else:
        facts, label_of = coco_categories.dataset_info(json_file, tree, found, _wanted(flags))
        of_image = coco_json.annotations_by_image(files, tree, label_of, found)
        others = {one["id"] for one in tree["categories"]} - set(label_of)  # --classes leaves them out: not lost.
        objects = sum(not others or whole(one.category_id) not in others for one in tree["annotations"])
        objects -= sum(problem.kind == coco_json.GIVEN_TWICE for problem in found)
        kept = sum(map(len, of_image.values()))
        refuse_losses(flags.out, found, kept, objects, flags.max_left_out)  # before the images are read
        # No record depends on the sigmas, so other ones build nothing again.
        maker = Maker(label_of, facts.names, facts.masks, len(facts.keypoints), False, flags.orientation)
    pictures = list(_pictures(tree, of_image, found))
    del tree, of_image  # The pictures hold what is needed of it.
    total = sum(picture.file.size for picture in pictures)
    source = shards.Source(
        pictures, Collect(maker), facts, total, found, flags.png_masks, options=repr(maker), objects=objects
    )
    return source, label_of


def class_names(flags: Coco) -> tuple[str, ...]:
    """The classes of the JSON alone, whatever the other splits of the dataset have."""
    files = several.paths(flags.annotations)
    tree = coco_files.load(files, several.folders(flags.images, files), [])
    wanted = coco_categories.Wanted(renames=renaming.of_flag(flags.rename))
    return coco_categories.dataset_info(flags.annotations, tree, [], wanted)[0].names


def _wanted(flags: Coco) -> coco_categories.Wanted:
    others = image_classes.other_splits(flags.out, flags.split)
    if others and any(one.record_label is not None for one in others.categories):
        others = None  # Adopted records have labels of their own, which those written here do not have.
    return coco_categories.Wanted(
        names=image_classes.names_of(flags.classes) if flags.classes else (),
        names_file=flags.classes,
        others=others,
        masks=flags.masks,
        sigmas=flags.keypoint_sigmas,
        flip_pairs=flags.flip_pairs,
        renames=renaming.of_flag(flags.rename),
    )


def _pictures(tree: dict, of_image: dict, found: list[Problem]) -> Iterator[Picture]:
    """The images that can be looked for; of_image, which is emptied, has those that are not left out already."""
    for image in tree["images"]:
        path, annotations = image["path"], of_image.pop(image["id"], None)
        if annotations is None:  # a duplicate, reported, or too small
            continue
        report = Reporter(found, image["file_name"], str(image["id"]))
        size = _size(image, report)
        if isinstance(path, Refused):
            report("image file cannot be read", str(path), f"The image is left out. {_AGAIN}")
        else:
            yield Picture(report.file, tar_files.on_disk(report.file, path), report.image_id, size, annotations)


def _size(image: dict, report: Reporter) -> tuple[int, int] | None:
    """Height and width of an image of the JSON; None if it has none, for which tools write 0 or -1 too."""
    stated = image.get("height"), image.get("width")
    height, width = map(whole, stated)
    if None in stated or (height is not None and height <= 0) or (width is not None and width <= 0):
        return None
    if height is None or width is None:
        what = f"height and width are {' and '.join(map(short, stated))}"
        report("size in the JSON is no number", what, "The size of the file is taken: correct the JSON.")
        return None
    return height, width


def main(flags: Coco) -> None:
    print(summary(flags, build(flags)))
    sigmas.note(flags.out, flags.keypoint_sigmas)
    keypoint_sides.note(flags.out, flags.flip_pairs)


if __name__ == "__main__":
    command.run(main, Coco(), required=("images", "annotations", "out", "split"))
