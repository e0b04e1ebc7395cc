r"""Builds a split of a dataset from images and XML files in the format of Pascal VOC, one beside each image.

  python -m pipelines.voc --devkit=VOCdevkit/VOC2007 --split=trainval --out=data/voc2007
  python -m pipelines.voc --images=BCCD/JPEGImages --annotations=BCCD/Annotations --list=BCCD/ImageSets/Main/train.txt \
      --split=train --out=data/bccd
  python -m pipelines.check --data=data/bccd --out=sheet.png

--devkit is a folder with JPEGImages, Annotations and ImageSets/Main/SPLIT.txt; with several, such as
VOCdevkit/VOC2007,VOCdevkit/VOC2012, the split has the images of all. --list has an image name a line, with or without
its extension; without it all images are taken. Only the names count in a list of one class (aeroplane_train.txt),
which has 1, 0 or -1 behind each: such a list names all images of the split.

Classes are VOC's 20 in its order for a devkit, else the lines of --classes, else all names in the folder of the XML
files, in alphabetical order: all of the folder, so that its splits agree.

VOC counts pixels from 1, and a box has its first and its last; so xmin 1 becomes 0, and xmax stays. Tools that write
other boxes have other --coordinates: `zero_based` counts pixels from 0, `edges` are distances from the image's corner,
from 0 to its width. Objects marked `difficult` or `truncated`, and their `pose`, are kept; parts of objects are not.

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. Each problem
with an image, an XML file or an object (the first of a file is object 1) is reported with a remedy: it is left out, and
the rest is written. OUT/SPLIT.report.jsonl has all problems; --strict makes any of them an error. A killed build
continues where it stopped when the same command is run again.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from tfrecog.cli import command
from tfrecog.cli.facts import Length
from tfrecog.data import info, records
from tfrecog.data.classes import voc

from .build import image_records, problems, shards
from .build.command import BuildFlags
from .build.problems import Problem, Refused
from .classes import image_classes
from .formats import image_file, tar_files, voc_folder, voc_object, voc_xml
from .formats.tar_files import File
from .formats.voc_folder import Layout

_AGAIN = "The image is left out: download or copy the file again, and run the same command."


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and what its XML file says."""

    name: str
    key: str
    image: File
    state: tuple[int, int]  # size and time of the file that it is in
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
    marks: frozenset[str]  # those of difficult, truncated and pose that the files have at all

    def __call__(self, picture: Picture) -> tuple[records.Record | None, list[Problem]]:
        found = _about_the_file(picture)
        stated = voc_object.stated_size(picture.annotation)
        image, more = image_file.read(picture.image, picture.name, _AGAIN, picture.key, stated, annotations="XML")
        found += more
        if image is None:
            return None, found
        if stated is None:
            what = f"its <size> is missing or is no size, and the image is {image.height} x {image.width}"
            remedy = "The size of the image is taken; nothing needs to be done if its boxes fit."
            found.append(Problem("no size in the XML", picture.xml, f"{what} (height x width)", remedy, picture.key))
        labels = {name: label for label, name in enumerate(self.names, 1)}
        size = image.height, image.width
        if picture.annotation.inner:
            what = f"{picture.annotation.inner:,} <object> elements lie in others, such as in another <object>"
            remedy = "They are left out: correct the XML, so that each lies in <annotation> itself."
            found.append(Problem("object in another element", picture.xml, what, remedy, picture.key))
        reader = voc_object.Reader(picture.xml, picture.key, size, labels, self.coordinates)
        read = [(one, reader.read(one)) for one in picture.annotation.objects]
        there = [(one.number, instance) for one, instance in read if instance is not None]
        boxes = np.array([one.box for _, one in there], np.float64).reshape(-1, 4)
        record = records.Record(
            encoded=image.data,
            format=image.format,
            height=image.height,
            width=image.width,
            filename=picture.name,
            source_id=picture.key,
            boxes=boxes.astype(np.float32),
            labels=np.array([one.label for _, one in there], np.int64),
            names=[self.names[one.label - 1] for _, one in there],
            crowd=np.zeros(len(there), bool),
            areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).astype(np.float32),
            ids=np.array([picture.first_id + number - 1 for number, _ in there], np.int64),
        )
        if "difficult" in self.marks:
            record.difficult = np.array([one.difficult for _, one in there], bool)
        if "truncated" in self.marks:
            record.truncated = np.array([one.truncated for _, one in there], bool)
        if "pose" in self.marks:
            record.poses = [one.pose for _, one in there]
        return record, found + reader.problems


def _about_the_file(picture: Picture) -> list[Problem]:
    """A problem if the XML file says that it is of another image."""
    stated = os.path.basename((picture.annotation.filename or "").replace("\\", "/"))
    of = {name.lower() for name in (stated, os.path.splitext(stated)[0])}
    if not stated or os.path.splitext(os.path.basename(picture.name))[0].lower() in of:
        return []
    what = f"its <filename> is {voc_object.short(stated)}, and the image of its name is {picture.name}"
    remedy = "It is taken for the image of its own name: if it is of the other one, rename it; if not, correct it."
    return [Problem("XML names another file", picture.xml, what, remedy, picture.key)]


@dataclass(frozen=True)
class Voc(BuildFlags):
    """The flags."""

    devkit: Annotated[
        tuple[str, ...], "Folder of a VOC devkit, such as VOCdevkit/VOC2007; of several, all their images.", Length()
    ] = ()
    source_split: Annotated[str, "The devkit's name of the split. Empty: that of --split."] = ""
    images: Annotated[str, "Folder of the images."] = ""
    annotations: Annotated[str, "Folder of the XML files."] = ""
    list: Annotated[tuple[str, ...], "Files with the names of the images of the split, one per line.", Length()] = ()
    classes: Annotated[str, "File of the classes, one per line, in the order of their labels."] = ""
    coordinates: Annotated[Literal["voc", "zero_based", "edges"], "Convention of the coordinates of a box."] = "voc"


def build(
    layouts: Sequence[Layout],
    out: str,
    split: str,
    *,
    classes: Sequence[str] = (),
    coordinates: str = "voc",
    strict: bool = False,
    shard_count: int = 0,
    jobs: int = 0,
) -> shards.Built:
    """Writes a split of the dataset in `out`; without `classes` they are all names in the folders of the XML files.

    Raises:
        Refused: with what to do about it.
    """
    found: list[Problem] = []
    read = voc_folder.read(layouts, found, names=not classes)
    if not read.pairs:
        shown = problems.table(found)
        raise Refused(f"no image of {layouts[0].images} can be used:\n{shown}")
    names = tuple(classes) or read.names
    if not names:
        raise Refused(f"no XML file of {layouts[0].annotations} has an object; name the classes with --classes")
    there = sorted({one.name for pair in read.pairs for one in pair.annotation.objects if one.name})
    if there and not set(there) & set(names):
        given, used = (", ".join(those[:9]) + ", ..." * (len(those) > 9) for those in (names, there))
        raise Refused(
            f"no object has a class of {given}; the XML files have {used}: give a file of these with --classes"
        )
    pictures, first, total = [], 1, 0
    for pair in read.pairs:
        state = tar_files.state(pair.image.path)
        total += pair.image.size if pair.image.offset >= 0 else state[0]
        picture = Picture(pair.image.name, pair.key, pair.image, state, pair.xml.name, pair.annotation, first)
        pictures.append(picture)
        first += len(pair.annotation.objects)
    maker = Maker(names, coordinates, read.marks)
    categories = tuple(info.Category(name, number) for number, name in enumerate(names, 1))
    facts = info.DatasetInfo(categories, splits={}, difficult="difficult" in read.marks)
    source = shards.Source(pictures, maker, facts, total, found, options=repr((coordinates, sorted(read.marks))))
    return shards.build(source, out, split, shards=shard_count, jobs=jobs, strict=strict)


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
        split = flags.source_split or flags.split
        return [voc_folder.devkit(path, split, lists) for path in devkits]
    if flags.source_split:
        raise Refused("--source_split is for --devkit; name the images with --list")
    for name in ("images", "annotations"):
        if not getattr(flags, name):
            raise Refused(f"give --{name}, or --devkit with the folder that holds JPEGImages and Annotations")
    return [Layout(flags.images, flags.annotations, lists)]


def main(flags: Voc) -> None:
    given = image_classes.names_of(flags.classes) if flags.classes else voc.CLASSES if flags.devkit else ()
    built = build(
        layouts_of(flags),
        flags.out,
        flags.split,
        classes=given,
        coordinates=flags.coordinates,
        strict=flags.strict,
        shard_count=flags.shards,
        jobs=flags.jobs,
    )
    facts = info.load(flags.out)
    made = built.split
    if not given:
        print(f"classes: {', '.join(facts.names)} (of the names in {flags.annotations}; --classes gives others)")
    print(image_records.report(flags.out, flags.split, built, facts.num_classes))
    print(f"{made.instances:,} objects" + ("" if facts.difficult else "; the XML files do not say which are difficult"))


if __name__ == "__main__":
    command.run(main, Voc(), required=("out", "split"))
