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

JPEG and PNG files that training can read are copied byte for byte; others (CMYK) are stored as RGB PNG and reported.
Each problem with an image is reported with a remedy: it is left out, and the rest is written. OUT/SPLIT.report.jsonl
has all problems; --strict makes any of them an error. A killed build continues where it stopped when the same command
is run again.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.data import info, records

from .build import image_records, problems, shards
from .build.command import BuildFlags
from .build.problems import Problem, Refused
from .classes import image_classes, label_lists, wordnet
from .formats import class_folders, image_file, tar_files
from .formats.tar_files import File

_AGAIN = "The image is left out: download or copy the file again, and run the same command."


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and its class."""

    name: str  # class/file
    file: File
    state: tuple[int, int]  # size and time of what it is in
    label: int  # 1..K
    class_name: str

    def fingerprint(self) -> str:
        return repr(self)


def make(picture: Picture) -> tuple[records.Record | None, list[Problem]]:
    """The record of an image, None if it cannot be used, and the problems with it."""
    image, found = image_file.read(picture.file, picture.name, _AGAIN, picture.name, objects=False)
    if image is None:
        return None, found
    return image_records.record(image, picture.name, picture.name, picture.label, picture.class_name), found


@dataclass(frozen=True)
class Imagenet(BuildFlags):
    """The flags."""

    images: Annotated[str, "Tar or folder of the images."] = ""
    labels: Annotated[str, "List of the labels of images that are not in one folder per class."] = ""
    classes: Annotated[str, "List of the classes: one name per line, or a WordNet id and a name."] = ""


def build(flags: Imagenet) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    path = flags.images
    found: list[Problem] = []
    files, folders = class_folders.listing(path, found)
    if not files:
        those = f":\n{found[0]}" if found else f": there is no file named {', '.join(class_folders.EXTENSIONS)} in it"
        raise Refused(f"{path} has no images{those}")
    for problem in found:  # A tar is cut: said before hours of work, and again with the others after them.
        print(f"warning: {problem}", file=sys.stderr)
    wanted = (
        image_classes.of_file(flags.classes, found)
        if flags.classes
        else image_classes.of_other_splits(flags.out, flags.split)
    )
    class_of, declared, before = _classes_of(path, files, folders, flags.labels, wanted, bool(flags.classes), found)
    categories = wanted or image_classes.named(declared)
    pictures = list(_pictures(files, before, class_of, categories, path, found))
    if not pictures:
        raise Refused(f"no image of {path} can be used:\n{problems.table(found)}")
    total = sum(picture.state[0] if picture.file.offset < 0 else picture.file.size for picture in pictures)
    source = shards.Source(pictures, make, image_records.facts(categories), total, found)
    return shards.build(source, flags.out, flags.split, shards=flags.shards, jobs=flags.jobs, strict=flags.strict)


def _classes_of(
    path: str,
    files: list[File],
    folders: list[str],
    labels: str,
    wanted: list[info.Category],
    listed: bool,
    found: list[Problem],
) -> tuple[dict[str, str], list[str], str]:
    """Name or WordNet id of the class of each image, all classes, and what the names of all images begin with."""
    names = [file.name for file in files]
    if labels:
        # The numbers of ILSVRC's own lists do not count the classes in the order of dataset.json.
        order = [] if label_lists.of_names(names) and not listed else wanted
        class_of = label_lists.read(labels, names, order, found)
        return class_of, sorted(set(class_of.values())), ""
    by_class, before = class_folders.by_class(files, folders, path)
    known = label_lists.of_names(names) if len(by_class) == 1 else None
    if known:
        return known, list(wordnet.names()), ""
    outside = by_class.pop("", [])
    if not by_class:
        raise Refused(f"the images of {path} lie in no folders, one a class; say with --labels=FILE what they are of")
    for file in outside:
        remedy = "The image is left out: put it into the folder of its class."
        found.append(Problem("image without label", file.name, f"it lies in no class's folder in {path}", remedy))
    for name in (name for name, its_files in by_class.items() if not its_files):
        remedy = f"It stays a class: put images ({', '.join(class_folders.EXTENSIONS)}) there, or remove the folder."
        found.append(Problem("class without images", name, f"its folder in {path} has no image", remedy))
    if len(by_class) == 1:
        remedy = "Give the folder above it with --images, or with --labels=FILE what the images are of."
        found.append(Problem("only one class", path, f"all images lie in {next(iter(by_class))!r}", remedy))
    found += class_folders.alike(by_class, path)
    return {file.name: name for name, those in by_class.items() for file in those}, list(by_class), before


def _pictures(
    files: list[File],
    before: str,
    class_of: dict[str, str],
    categories: Sequence[info.Category],
    path: str,
    found: list[Problem],
) -> Iterator[Picture]:
    """Images with their labels, in the order of the labels; problems of classes that are not on the list."""
    label_of, outside, states = image_classes.labels(categories), Counter(), {}
    labelled_files = []
    for file in files:
        if file.name not in class_of:  # reported
            continue
        label = label_of.get(class_of[file.name], 0)
        if label:
            labelled_files.append((label, file))
        else:
            outside[class_of[file.name]] += 1
    for name, count in outside.items():
        what = f"{count:,} of the images of {path} are of it, and the {len(categories):,} classes are "
        what += ", ".join(category.name for category in categories[:5]) + (" ..." if len(categories) > 5 else "")
        remedy = "They are left out: add it to the list of --classes, or build the other splits with it too."
        found.append(Problem("label outside the list", name, what, remedy))
    for label, file in sorted(labelled_files, key=lambda pair: pair[0]):
        if file.path not in states or file.offset < 0:
            states[file.path] = tar_files.state(file.path)
        yield Picture(file.name[len(before) :], file, states[file.path], label, categories[label - 1].name)


def main(flags: Imagenet) -> None:
    built = build(flags)
    print(image_records.report(flags.out, flags.split, built, info.load(flags.out).num_classes))


if __name__ == "__main__":
    command.run(main, Imagenet(), required=("images", "out", "split"))
