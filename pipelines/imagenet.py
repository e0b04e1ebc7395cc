r"""Builds a split of a dataset from images by class: ILSVRC's tars, or any tree of one folder per class.

  python -m pipelines.imagenet --images=ILSVRC2012_img_train.tar --split=train --out=data/imagenet
  python -m pipelines.imagenet --images=ILSVRC2012_img_val.tar --split=val --out=data/imagenet
  python -m pipelines.imagenet --images=pictures --split=train --out=data/pictures
  python -m pipelines.check --data=data/imagenet --out=sheet.png

--images is a folder or a tar, and a tar in it is a folder of its name; nothing is unpacked. A class is a folder. Those
named by WordNet ids get ILSVRC's names, and the order of the ids, which is that of torchvision's outputs.

Images outside of classes' folders need a list, --labels: one label per line in the order of the file names, or lines
of a name and a label (Kaggle's LOC_val_solution.csv too). A label is the class, its WordNet id, or a number that
counts the classes: from 0 if there is a 0, or from 1. The classes of ILSVRC's validation images are known by their file
names, so their list may be left out; whatever its numbers count, it is understood.

--classes names the classes, one per line, or `n01440764 name` or the id alone, sorted by id. Without it they are the
folders, or those of the other splits in OUT, which all splits share.

JPEG and PNG files that training can read are copied byte for byte; others (CMYK, or turned upright by their EXIF
orientation, as tfrecog.predict turns them) are stored as RGB PNG and reported.
Each problem with an image is reported with a remedy: it is left out, and the rest is written.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.data import info, records

from .build import image_records, shards
from .build.command import ShareFlags, build_share, summary
from .build.problems import Collect, Problem, Refused, Reporter
from .classes import image_classes, label_lists, renaming, wordnet
from .formats import class_folders, image_file
from .formats.tar_files import File


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and its class."""

    name: str  # class/file
    file: File
    label: int  # 1..K
    class_name: str

    def fingerprint(self) -> str:
        return repr(self)


def make(picture: Picture, found: list[Problem]) -> records.Record:
    """The record of an image; adds the problems with it to `found`."""
    image = image_file.read(picture.file, Reporter(found, picture.name, picture.name), rule="upright")
    return image_records.record(image, picture.name, picture.name, picture.label, picture.class_name)


@dataclass(frozen=True)
class Imagenet(ShareFlags):
    """The flags."""

    images: Annotated[str, "Tar or folder of the images."] = ""
    labels: Annotated[str, "List of the labels of images that are not in one folder per class."] = ""
    classes: Annotated[str, "List of the classes: one name per line, or a WordNet id and a name."] = ""
    rename: renaming.Flag = ()


def build(flags: Imagenet) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    path, found = flags.images, []
    files, folders = class_folders.listing(path, found)
    if not files:
        reason = f":\n{found[0]}" if found else f": no file named {', '.join(class_folders.EXTENSIONS)} is in it"
        raise Refused(f"{path} has no images{reason}")
    for problem in found[:3]:  # A tar is cut: a warning before hours of work, and again with the others after them.
        print(f"warning: {problem}", file=sys.stderr)
    if flags.classes:
        categories = image_classes.of_file(flags.classes, found)
    else:
        categories = image_classes.of_other_splits(flags.out, flags.split)
    known, before = label_lists.of_names([file.name for file in files]), ""
    if flags.labels:
        # The numbers of ILSVRC's own lists do not count the classes in the order of dataset.json.
        order = [] if known and not flags.classes else categories
        class_of = label_lists.read(flags.labels, [file.name for file in files], order, found)
        declared = sorted(set(class_of.values()))
    else:
        by_class, before = class_folders.by_class(files, folders, path)
        if known and len(by_class) == 1:
            class_of, declared, before = known, list(wordnet.names()), ""
        else:
            class_of, declared = _of_folders(path, by_class, found)
    renames = renaming.of_flag(flags.rename)
    left = renaming.names(declared, renames, path, found)
    categories = categories or image_classes.named(left)
    label_of = renaming.labels(image_classes.labels(categories), renames)
    # What --classes and --rename leave out is not lost.
    objects = sum(name in label_of or not (flags.classes or name in renames) for name in class_of.values())
    objects += sum(problem.kind == label_lists.OUTSIDE for problem in found)
    _report_outside(path, (name for name in class_of.values() if name not in label_of), categories, found)
    labelled = [(label_of[class_of[file.name]], file) for file in files if class_of.get(file.name) in label_of]
    pictures = [
        Picture(file.name.removeprefix(before), file, label, categories[label - 1].name)
        for label, file in sorted(labelled, key=lambda pair: pair[0])
    ]
    total = sum(picture.file.size for picture in pictures)
    source = shards.Source(pictures, Collect(make), image_records.facts(categories), total, found, objects=objects)
    return build_share(source, flags, lambda picture: [picture.class_name])


def class_names(flags: Imagenet) -> tuple[str, ...]:
    """The classes that folders are called after."""
    by_class, _ = class_folders.by_class(*class_folders.listing(flags.images, []), flags.images)
    return renaming.names(filter(None, by_class), renaming.of_flag(flags.rename), flags.images, [])


def _of_folders(path: str, by_class: dict[str, list[File]], found: list[Problem]) -> tuple[dict[str, str], list[str]]:
    """The class (name or WordNet id) of each image by its folder, and all classes."""
    outside = by_class.pop("", [])
    if not by_class:
        raise Refused(f"the images of {path} lie in no folders, one a class; give a list of their labels with --labels")
    for file in outside:
        remedy = "The image is left out: put it into the folder of its class."
        found.append(Problem("image without label", file.name, f"it is in no class's folder in {path}", remedy))
    for name in (name for name, its_files in by_class.items() if not its_files):
        remedy = f"It stays a class: put images ({', '.join(class_folders.EXTENSIONS)}) there, or remove the folder."
        found.append(Problem("class without images", name, f"its folder in {path} has no image", remedy))
    if len(by_class) == 1:
        remedy = "Give the folder above it with --images, or a list of the images' labels with --labels."
        found.append(Problem("only one class", path, f"all images lie in {next(iter(by_class))!r}", remedy))
    found += class_folders.alike(by_class, path)
    return {file.name: name for name, those in by_class.items() for file in those}, list(by_class)


def _report_outside(path: str, outside: Iterable[str], categories: Sequence[info.Category], found: list) -> None:
    """Problems of the classes of images that are not on the list."""
    for name, count in Counter(outside).items():
        what = f"{count:,} of the images of {path} are of it, and the {len(categories):,} classes are "
        what += ", ".join(category.name for category in categories[:5]) + (" ..." if len(categories) > 5 else "")
        remedy = "They are left out: add it to the list of --classes, or build the other splits with it too."
        found.append(Problem("label outside the list", name, what, remedy))


def main(flags: Imagenet) -> None:
    print(summary(flags, build(flags)))


if __name__ == "__main__":
    command.run(main, Imagenet(), required=("images", "out", "split"))
