r"""Builds a split of a dataset from images and objects drawn with a tool: YOLO, LabelMe, CVAT, VIA, Label Studio, CSV.

  python -m pipelines.objects --format=yolo --annotations=coco128/data.yaml --split=train --out=data/coco128
  python -m pipelines.objects --format=cvat --images=task/images --annotations=task/annotations.xml \
      --split=train --out=data/mine
  python -m pipelines.check --data=data/mine --out=sheet.png

| --format | --annotations | |
| --- | --- | --- |
| yolo | data.yaml, or the folder of the label files | boxes, polygons, poses (kpt_shape); --images only if elsewhere |
| labelme | folder of the JSON files | polygons, boxes, circles, masks; points in the group of an object: keypoints |
| cvat | annotations.xml, for images 1.1 or for video 1.1 | also ellipses, skeletons; frames between two keyframes |
| via | JSON of a project, or annotations as JSON or CSV | --class_attribute where regions have several attributes |
| label_studio | JSON, or JSON-MIN | also ellipses, brushes; keypoints that belong to a region |
| csv | a file with a row for each box | OpenImages (--descriptions), Kaggle: columns by their names, or by --columns |
| instance_maps | folder of PNGs, one for each image | values number the instances, all of --class_name (PennFudan) |
| cityscapes | folder of PNGs, one for each image | values are class * 1000 + instance; below 1000: crowds |
| masks | folder of PNGs, one for each object | IMAGE_CLASS_1.png, IMAGE/masks/1.png: what is not 0 is the object |

Records have masks where an object has more than a box, and keypoints where one has some. The box of what is rotated is
the upright one around it, which is reported. Numbers of keypoints are those that the tool writes to COCO JSON.

An image that the annotations name and in which nothing is drawn has no objects. One that they do not name is left out
and reported, or kept as one without objects by --negatives. Each problem with an image or an object is reported with a
remedy: it is left out, and the rest is written.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length, Positive, When
from tfrecog.data import info, records

from .build import image_records, problems, shards
from .build.command import PlacedFlags, build_share, source_split, summary
from .build.problems import Collect, MostlyLost, NoClass, Problem, Refused, Reporter
from .classes import image_classes, keypoint_sides, renaming
from .classes import keypoint_sigmas as sigmas
from .formats import (
    box_csv,
    cvat,
    drawn,
    drawn_together,
    exif,
    image_file,
    instance_maps,
    label_studio,
    labelme,
    mask_files,
    object_masks,
    several,
    via,
    yolo,
    yolo_folder,
)
from .formats.named_images import NamedImages

OF_ONE_CLASS = ("via", "csv", "instance_maps", "masks")  # the formats whose objects may have no class of their own


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures; goes to the worker processes."""

    names: tuple[str, ...]
    labels: dict[str, int]  # by the names in the files
    masks: bool
    keypoints: tuple[str, ...]
    orientation: exif.Rule

    def __call__(self, picture: drawn.Picture, found: list[Problem]) -> records.Record:
        of_image, report = (Reporter(found, name, picture.name) for name in (picture.name, picture.source))
        picture = mask_files.read(picture, report)
        shown = {"rule": self.orientation, "reach": drawn.reach(picture), "annotations": "annotation file"}
        image = image_file.read(picture.file, of_image, picture.size, **shown)
        has = {"masks": self.masks}
        objects = drawn.instances(picture, self.labels, image.size, report, keypoints=self.keypoints, **has)
        has |= {"joints": len(self.keypoints)}
        return image_records.with_objects(image, picture.name, picture.name, self.names, objects, **has)


@dataclass(frozen=True)
class Objects(PlacedFlags):
    """The flags."""

    format: Annotated[
        Literal["", "yolo", "labelme", "cvat", "via", "label_studio", "csv", "instance_maps", "cityscapes", "masks"],
        "The tool that wrote the annotations, or what their PNGs are.",
    ] = ""
    images: Annotated[
        str,
        "Folder of the images; of several files one for all of them, or one for each, with commas between. Empty: "
        "that of the file.",
    ] = ""
    annotations: Annotated[
        str, "Annotation file, or the folder of them; or several, as patterns or with commas between them."
    ] = ""
    source_split: Annotated[
        str,
        "The split in data.yaml, or its folder, or CVAT's subset (*: all of them). Empty: that of --split.",
        When("format", "yolo", "cvat"),
    ] = ""
    classes: Annotated[str, "File of the classes, one per line, in the order of their labels."] = ""
    rename: renaming.Flag = ()
    class_name: Annotated[
        str,
        "Class of all objects, for files that name none.",
        When("format", *OF_ONE_CLASS),
    ] = ""
    class_attribute: Annotated[str, "The attribute of a region that is its class.", When("format", "via")] = ""
    columns: Annotated[
        tuple[str, ...],
        f"NAME=COLUMN of those with another name; NAME is {', '.join(box_csv.NAMES)}.",
        Length(),
        When("format", "csv"),
    ] = ()
    descriptions: Annotated[
        str, "CSV of OpenImages' class descriptions: a key such as /m/01yrx and its name.", When("format", "csv")
    ] = ""
    units: Annotated[
        Literal["", "pixels", "fractions"],
        "Units of the boxes. Empty: fractions of the image where no number is above 1.",
        When("format", "csv"),
    ] = ""
    negatives: Annotated[bool, "Keep images without annotations, as ones without objects."] = False
    masks: Annotated[bool, "Write masks, if there are any."] = True
    keypoints: Annotated[tuple[str, ...], "Names of the keypoints in their order. Empty: the file's.", Length()] = ()
    keypoint_sigmas: Annotated[tuple[float, ...], sigmas.MEANING, Positive(), Length()] = ()
    flip_pairs: Annotated[tuple[str, ...], keypoint_sides.MEANING, Length()] = ()


def build(flags: Objects) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    found: list[Problem] = []
    drawing = drawn.completed(_read(flags, found), flags.negatives, found)
    listed = _listed(flags)
    renames = renaming.of_flag(flags.rename)
    names = _names(flags, drawing, listed, renames, found)
    labels = renaming.labels({name: label for label, name in enumerate(names, 1)}, renames)
    keypoints, masks, source = flags.keypoints or drawing.keypoints, flags.masks and drawing.masks, flags.annotations
    pairs = drawing.flip_pairs
    if pairs is None or flags.flip_pairs or flags.keypoints:
        pairs = keypoint_sides.chosen(flags.flip_pairs, keypoints, source)
    facts = info.DatasetInfo(
        categories=tuple(info.Category(name, number) for number, name in enumerate(names, 1)),
        splits={},
        keypoints=keypoints,
        flip_pairs=pairs,
        skeleton=drawing.skeleton,
        keypoint_sigmas=sigmas.chosen(flags.keypoint_sigmas, keypoints, source),
        masks=masks,
    )
    maker = Maker(names, labels, masks, keypoints, flags.orientation)
    pictures = drawing.pictures
    total, objects = sum(one.file.size for one in pictures), drawing.left_out

    def classes(picture: drawn.Picture) -> Sequence[int | None]:
        kinds = [shape.class_name for shape in picture.shapes]
        return [labels.get(name) for name in kinds if name in labels or not (listed or name in renames)]

    objects += sum(len(classes(picture)) for picture in pictures)  # What --classes and --rename leave out is not lost.
    how = {"options": repr(maker), "objects": objects}
    return build_share(shards.Source(pictures, Collect(maker), facts, total, found, **how), flags, classes)


def class_names(flags: Objects) -> tuple[str, ...]:
    """The classes of the files alone, whatever the other splits of the dataset have."""
    drawing = drawn.completed(_read(flags, []), flags.negatives, [])
    return renaming.names(drawing.classes, renaming.of_flag(flags.rename), flags.annotations, [])


def _listed(flags: Objects) -> list[str]:
    """The classes of --classes, which of Cityscapes' is a table that the reader takes."""
    return image_classes.names_of(flags.classes) if flags.classes and flags.format != "cityscapes" else []


def _read(flags: Objects, found: list[Problem]) -> drawn.Drawing:
    """What the files of the format say."""
    files = several.paths(flags.annotations)
    folders = several.folders(flags.images, files) if flags.images else [""] * len(files)
    if flags.format == "cvat":
        subsets = cvat.wanted_subsets(files, functools.partial(source_split, flags))
        read = functools.partial(_of_cvat, subsets)
    else:
        read = functools.partial(_read_one, flags)
    both = zip(files, folders, strict=True)
    return drawn_together.joined([read(*one, found) for one in both], files, found)


def _of_cvat(subsets: set[str], path: str, folder: str, found: list[Problem]) -> drawn.Drawing:
    return cvat.read(path, NamedImages(folder or drawn.folder_of(path), found), subsets, found)


def _read_one(flags: Objects, path: str, folder: str, found: list[Problem]) -> drawn.Drawing:
    if flags.format == "yolo":
        return yolo.read(yolo_folder.of_split(path, folder, source_split(flags), flags.classes, found), found)
    folder = folder or drawn.folder_of(path)
    if flags.format == "instance_maps":
        if not flags.class_name:
            raise NoClass(f"{path} has numbers of instances, and names no class: give that of all by --class_name")
        return instance_maps.read(folder, path, instance_maps.of_one_class(flags.class_name), found)
    if flags.format == "cityscapes":
        return instance_maps.read(folder, path, instance_maps.of_cityscapes(flags.classes), found)
    if flags.format == "masks":
        return object_masks.read(folder, path, flags.class_name, found)
    images = NamedImages(folder, found)
    if flags.format == "labelme":
        return labelme.read(path, images, found)
    if flags.format == "via":
        return via.read(path, images, flags.class_attribute, flags.class_name, found)
    if flags.format == "label_studio":
        return label_studio.read(path, images, found)
    named = box_csv.descriptions(flags.descriptions) if flags.descriptions else {}
    return box_csv.read(path, images, flags.columns, flags.units, flags.class_name, named, found)


def _names(
    flags: Objects, drawing: drawn.Drawing, listed: Sequence[str], renames: dict[str, str], found: list[Problem]
) -> tuple[str, ...]:
    """The classes: those of --classes, of the other splits, which may have more than this one, or of the files."""
    left = renaming.names(drawing.classes, renames, flags.annotations, found)
    if listed:
        return tuple(listed)
    others = tuple(category.name for category in image_classes.of_other_splits(flags.out, flags.split))
    used = {renames.get(shape.class_name, shape.class_name) for picture in drawing.pictures for shape in picture.shapes}
    if others and used - {""} <= set(others):
        return others
    if not drawing.classes and drawing.left_out:
        raise MostlyLost(f"{flags.annotations} has no object that can be used:\n{problems.table(found)}")
    if not drawing.classes:
        raise Refused(f"{flags.annotations} has no object; name the classes with --classes")
    return left


def main(flags: Objects) -> None:
    print(summary(flags, build(flags)))
    sigmas.note(flags.out, flags.keypoint_sigmas)
    keypoint_sides.note(flags.out, flags.flip_pairs)


if __name__ == "__main__":
    command.run(main, Objects(), required=("format", "annotations", "out", "split"))
