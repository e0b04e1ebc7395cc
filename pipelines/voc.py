r"""Builds a split of a dataset from images and XML files in the format of Pascal VOC, one beside each image.

  python -m pipelines.voc --devkit=VOCdevkit/VOC2007 --split=trainval --out=data/voc2007
  python -m pipelines.voc --images=BCCD/JPEGImages --annotations=BCCD/Annotations --list=BCCD/ImageSets/Main/train.txt \
      --split=train --out=data/bccd
  python -m pipelines.check --data=data/bccd --out=sheet.png

--devkit is a folder with JPEGImages, Annotations and ImageSets/Main/SPLIT.txt; with several, such as
VOCdevkit/VOC2007,VOCdevkit/VOC2012, the split has the images of all. --list has an image name a line, with or without
its extension; without it all images are taken. Only the names count in a list of one class (aeroplane_train.txt),
which has 1, 0 or -1 after each: such a list names all images of the split.

Classes are VOC's 20 in its order for a devkit, else the lines of --classes, else all names in the folder of the XML
files, in alphabetical order: all of the folder, so that its splits agree.

VOC counts pixels from 1, and a box has its first and its last; so xmin 1 becomes 0, and xmax stays. Tools that write
other boxes have other --coordinates: `zero_based` counts pixels from 0, `edges` are distances from the image's corner,
from 0 to its width. Objects marked `difficult` or `truncated`, and their `pose`, are kept; parts of objects are not.

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. Each problem
with an image, an XML file or an object (the first of a file is object 1) is reported with a remedy: it is left out, and
the rest is written.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length
from tfrecog.data import info, records
from tfrecog.data.classes import voc

from .build import image_records, shards
from .build.command import PlacedFlags, build_share, source_split, summary
from .build.problems import Collect, Problem, Refused, Reporter, short
from .classes import image_classes, renaming
from .formats import exif, image_file, pairs, voc_folder, voc_object, voc_xml
from .formats.tar_files import File
from .formats.voc_folder import Layout


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and what its XML file says."""

    name: str
    key: str
    image: File
    xml: str  # its name, for problems
    annotation: voc_xml.Annotation
    first_id: int  # of its objects

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures; goes to the worker processes."""

    names: tuple[str, ...]
    coordinates: str
    orientation: exif.Rule
    labels: dict[str, int]  # by the names in the files
    marks: tuple[str, ...]  # those of difficult, truncated and pose that the files have at all

    def __call__(self, picture: Picture, found: list[Problem]) -> records.Record:
        report, annotation = Reporter(found, picture.xml, picture.key), picture.annotation
        stated = voc_object.stated_size(annotation)
        filename = pairs.composed(os.path.basename((annotation.filename or "").replace("\\", "/")))
        own = pairs.composed(os.path.splitext(os.path.basename(picture.name))[0]).lower()
        if filename and own not in (filename.lower(), os.path.splitext(filename)[0].lower()):
            what = f"its <filename> is {short(filename)}, and the image of its name is {picture.name}"
            remedy = (
                "It is taken for the image of its own name: if it is of the other one, rename it; if not, correct it."
            )
            report("XML names another file", what, remedy)
        shown = {"rule": self.orientation, "reach": voc_object.reach(annotation), "annotations": "XML"}
        image = image_file.read(picture.image, Reporter(found, picture.name, picture.key), stated, **shown)
        if stated is None:
            what = f"its <size> is missing or invalid, and the image is {image.height} x {image.width}"
            remedy = "The size of the image is taken; nothing needs to be done if its boxes fit."
            report("no size in the XML", f"{what} (height x width)", remedy)
        if annotation.unread:
            tags = ", ".join(f"<{tag}>" for tag in dict.fromkeys(annotation.unread))
            what = f"{len(annotation.unread):,} elements ({tags}) look like objects and are no <object> in <annotation>"
            remedy = "They are left out: correct the XML, so that each is an <object> in <annotation> itself."
            report("object in another element", what, remedy)
        objects = voc_object.read(annotation, self.labels, image.size, self.coordinates, report)
        for one in objects:
            one.id += picture.first_id - 1
        return image_records.with_objects(image, picture.name, picture.key, self.names, objects, marks=self.marks)


@dataclass(frozen=True)
class Voc(PlacedFlags):
    """The flags."""

    devkit: Annotated[
        tuple[str, ...], "Folder of a VOC devkit, such as VOCdevkit/VOC2007; of several, all their images.", Length()
    ] = ()
    source_split: Annotated[str, "The devkit's name of the split. Empty: that of --split."] = ""
    images: Annotated[str, "Folder of the images."] = ""
    annotations: Annotated[str, "Folder of the XML files."] = ""
    list: Annotated[tuple[str, ...], "Files with the names of the images of the split, one per line.", Length()] = ()
    classes: Annotated[str, "File of the classes, one per line, in the order of their labels."] = ""
    rename: renaming.Flag = ()
    coordinates: Annotated[Literal["voc", "zero_based", "edges"], "Convention of the coordinates of a box."] = "voc"


def build(flags: Voc) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    layouts, found = layouts_of(flags), []
    names = tuple(image_classes.names_of(flags.classes)) if flags.classes else voc.CLASSES if flags.devkit else ()
    read = voc_folder.read(layouts, found, names=not names)
    used = sorted({one.name for _, annotation in read.annotated for one in annotation.objects if one.name})
    renames, place = renaming.of_flag(flags.rename), ",".join(one.annotations for one in layouts)
    left = renaming.names(names or read.names, renames, place, found, used)
    names = names if flags.classes else left
    if read.annotated and not names:
        raise Refused(f"no XML file of {layouts[0].annotations} has an object; name the classes with --classes")
    labels = renaming.labels({name: label for label, name in enumerate(names, 1)}, renames)
    if used and not set(used) & set(labels):
        given, others = (", ".join(those[:9]) + ", ..." * (len(those) > 9) for those in (names, used))
        raise Refused(
            f"no object has a class of {given}; the XML files have {others}: give a file of these with --classes"
        )
    pictures, first = [], 1
    for pair, annotation in read.annotated:
        pictures.append(Picture(pair.image.name, pair.key, pair.image, pair.other.name, annotation, first))
        first += len(annotation.objects)
    maker = Maker(names, flags.coordinates, flags.orientation, labels, tuple(sorted(read.marks)))
    categories = tuple(info.Category(name, number) for number, name in enumerate(names, 1))
    facts = info.DatasetInfo(categories, splits={}, difficult="difficult" in read.marks)
    total = sum(picture.image.size for picture in pictures)
    left_out = {old for old, new in renames.items() if not new}  # Nor is what --classes leaves out lost.
    chosen = {"", *labels} if flags.classes else {"", *used} - left_out

    def classes(picture: Picture) -> Sequence[int | None]:
        counted = [labels.get(one.name or "") for one in picture.annotation.objects if (one.name or "") in chosen]
        return counted + [None] * len(picture.annotation.unread)

    objects = sum(len(classes(picture)) for picture in pictures)
    objects += sum(problem.kind == voc_folder.BROKEN for problem in found)  # which have at least one
    source = shards.Source(pictures, Collect(maker), facts, total, found, options=repr(maker), objects=objects)
    return build_share(source, flags, classes)


def class_names(flags: Voc) -> tuple[str, ...]:
    """The classes in the XML files of a folder, of whatever split."""
    return renaming.names(
        voc_folder.read(layouts_of(flags), [], names=True).names, renaming.of_flag(flags.rename), "", []
    )


def layouts_of(flags: Voc) -> Sequence[Layout]:
    """Where the files lie, by --devkit, or by the flags of each; Refused where some are missing or do nothing."""
    lists = flags.list
    if flags.devkit:
        for name in ("images", "annotations"):
            if getattr(flags, name):
                raise Refused(f"--devkit has its {name}: leave --{name} out, or --devkit")
        devkits = flags.devkit
        if lists and len(devkits) > 1:
            raise Refused("--list names images of one --devkit; build with the lists that they have themselves")
        if len(set(devkits)) < len(devkits):
            raise Refused(f"--devkit={','.join(devkits)} names one folder twice")
        split = flags.split if lists else source_split(flags)
        return [voc_folder.devkit(path, split, lists) for path in devkits]
    if flags.source_split:
        raise Refused("--source_split is for --devkit; name the images with --list")
    for name in ("images", "annotations"):
        if not getattr(flags, name):
            raise Refused(f"give --{name}, or --devkit with the folder that holds JPEGImages and Annotations")
    return [Layout(flags.images, flags.annotations, lists)]


def main(flags: Voc) -> None:
    print(summary(flags, build(flags)))
    facts = info.load(flags.out)
    if not (flags.classes or flags.devkit):
        print(f"classes: {', '.join(facts.names)} (of the names in {flags.annotations}; --classes gives others)")
    if not facts.difficult:
        print("The XML files do not say which objects are difficult")


if __name__ == "__main__":
    command.run(main, Voc(), required=("out", "split"))
