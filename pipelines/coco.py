r"""Builds a split of a dataset from images and COCO JSON: instances or person_keypoints, of COCO or in its format.

  python -m pipelines.coco --images=coco/train2017 --annotations=coco/annotations/instances_train2017.json \
      --split=train --out=data/coco
  python -m pipelines.check --data=data/coco

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. Masks may be
polygons or run lengths, compressed or not; crowds are kept. Categories become labels 1..K in the order of their ids;
all splits of a folder share them.

dataset.json gets the OKS sigma of each keypoint, which keypoint AP needs: COCO's for COCO's person, --keypoint_sigmas
for others, or 0.05 for each. Keypoints named left... and right... are swapped when an image is flipped.

With --label_maps=voc an image gets the class of each pixel instead of its objects, for --task=segmentation: one of the
21 classes of Pascal VOC, drawn as torchvision trains with them. Pixels where masks overlap are ignored. --min_area=1000
(torchvision's training) leaves out images whose objects of those classes cover this many pixels or fewer.

Each problem with an image or an annotation is reported with its ids and a remedy: it is left out, and the rest is
written.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length, NonNegative, Positive, Unless, When
from tfrecog.data import records

from .build import image_records, label_map_records, shards
from .build.command import BuildFlags, build_split, summary
from .build.problems import Collect, Problem, Refused, Reporter
from .classes import keypoint_sigmas as sigmas
from .formats import coco_annotation, coco_as_voc_labels, coco_json, exif, image_file, tar_files

_AGAIN = "Put the file there or download it again, or take the image out of the JSON."
_MAPS = ("label_maps", "voc")


@dataclass(frozen=True)
class Picture:
    """An image of the JSON and its annotations."""

    name: str
    file: tar_files.File
    image_id: str
    size: tuple[int, int] | None  # height, width, where the JSON has them
    annotations: list[dict]

    def fingerprint(self) -> str:
        return repr(self)


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
        reach = coco_annotation.reach(picture.annotations)
        shown = {"rule": self.orientation, "reach": reach}
        image = image_file.read(picture.file, report, picture.size, replace=_AGAIN, **shown)
        has = {"masks": self.masks, "joints": self.joints}
        objects = coco_annotation.read(picture.annotations, self.label_of, image.size, report, **has)
        if self.label_maps:
            labels = coco_as_voc_labels.draw(objects, image.size)
            return label_map_records.record(image, labels, {}, picture.name, report)
        return image_records.with_objects(image, picture.name, picture.image_id, self.names, objects, **has)


@dataclass(frozen=True)
class Coco(BuildFlags):
    """The flags."""

    images: Annotated[str, "Folder of the images."] = ""
    annotations: Annotated[str, "COCO JSON file."] = ""
    masks: Annotated[bool, "Write masks; an annotation without one is skipped.", Unless(*_MAPS)] = True
    keypoint_sigmas: Annotated[tuple[float, ...], sigmas.MEANING, Positive(), Length(), Unless(*_MAPS)] = ()
    png_masks: Annotated[bool, "Write each mask as a PNG too, for readers such as Model Garden's.", Unless(*_MAPS)] = (
        False
    )
    label_maps: Annotated[Literal["", "voc"], "Write the class of each pixel, one of VOC's, and no objects."] = ""
    orientation: exif.Flag = "auto"
    min_area: Annotated[
        int,
        "Leave out images whose objects cover this many pixels or fewer; 0: off.",
        NonNegative("pixels"),
        When(*_MAPS),
    ] = 0


def build(flags: Coco) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    json_file = flags.annotations
    if not os.path.isdir(flags.images):
        raise Refused(f"there is no folder {flags.images}; give the folder of the images with --images")
    print(f"reading {json_file}", file=sys.stderr)
    tree = coco_json.load(json_file)
    facts = coco_json.dataset_info(json_file, tree, masks=flags.masks, sigmas=flags.keypoint_sigmas)
    if not tree["images"]:
        raise Refused(f"{json_file} has no images: nothing is written")
    found: list[Problem] = []
    of_image = coco_json.annotations_by_image(json_file, tree, facts, found)
    # No record depends on the sigmas, so other ones build nothing again.
    as_shown = flags.orientation
    maker = Maker(facts.label_of_id, facts.names, flags.masks, len(facts.keypoints), False, as_shown)
    if flags.label_maps:
        maker = Maker(coco_as_voc_labels.label_of_category(json_file, tree), (), True, 0, True, as_shown)
        facts = coco_as_voc_labels.FACTS
        of_image = coco_as_voc_labels.large_enough(of_image, maker.label_of, flags.min_area)
    pictures = list(_pictures(flags.images, tree, of_image))
    if not pictures:
        raise Refused(f"no image of {json_file} has objects of more than --min_area={flags.min_area} pixels")
    del tree, of_image  # The pictures hold what is needed of it.
    total = sum(picture.file.size for picture in pictures)
    source = shards.Source(pictures, Collect(maker), facts, total, found, flags.png_masks, options=repr(maker))
    return build_split(source, flags)


def _pictures(folder: str, tree: dict, of_image: dict) -> Iterator[Picture]:
    for image in tree["images"]:
        if image["id"] not in of_image:  # a duplicate, reported, or too small
            continue
        name = image["file_name"]
        path = os.path.join(folder, name)
        if not os.path.exists(path) and os.path.exists(os.path.join(folder, os.path.basename(name))):
            path = os.path.join(folder, os.path.basename(name))
        height, width = image.get("height"), image.get("width")
        size = (height, width) if height and width else None
        file = tar_files.on_disk(name, path)
        yield Picture(name, file, str(image["id"]), size, of_image.pop(image["id"]))


def main(flags: Coco) -> None:
    print(summary(flags, build(flags)))
    sigmas.note(flags.out, flags.keypoint_sigmas)


if __name__ == "__main__":
    command.run(main, Coco(), required=("images", "annotations", "out", "split"))
