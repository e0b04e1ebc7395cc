"""Images and XML files in the format of Pascal VOC: where they lie, and what the XML files hold."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfrecog.cli.progress import Bar

from ..build.problems import Problem, Refused
from . import class_folders, pairs, tar_files, voc_xml

BROKEN = "XML file that is not an annotation"
_MARKS = ("difficult", "truncated", "pose")


@dataclass(frozen=True)
class Layout:
    """Where the images of a split are."""

    images: str
    annotations: str
    lists: tuple[str, ...] = ()  # files that name the images; (): all


@dataclass(frozen=True)
class Read:
    """What the folders hold."""

    annotated: list[tuple[pairs.Pair, voc_xml.Annotation]]
    marks: frozenset[str]  # those of difficult, truncated and pose that a file has
    names: tuple[str, ...]  # of all files of the folders, or of those of the pairs; see `read`; alphabetical


def devkit(path: str, split: str, lists: tuple[str, ...] = ()) -> Layout:
    """The Layout of a split of a devkit, or of `lists`; the path may be that of VOCdevkit if that holds one year."""
    folder = _devkit_folder(path)
    images, annotations = (os.path.join(folder, name) for name in ("JPEGImages", "Annotations"))
    return Layout(images, annotations, lists or (split_list(folder, os.path.join("ImageSets", "Main"), split),))


def _devkit_folder(path: str) -> str:
    wanted = ("JPEGImages", "Annotations")
    for folder in (path, os.path.join(path, "VOCdevkit"), os.path.join("VOCdevkit", path)):
        inside = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        years = [folder] if set(wanted) <= set(inside) else [os.path.join(folder, name) for name in inside]
        years = [year for year in years if all(os.path.isdir(os.path.join(year, name)) for name in wanted)]
        if len(years) > 1:
            raise Refused(f"--devkit={path} holds {', '.join(years)}: give one of them, or several with commas between")
        if years:
            return years[0]
    raise Refused(f"--devkit={path} has no JPEGImages and Annotations; give the folder that holds both")


def split_list(root: str, folder: str, split: str) -> str:
    """Path of the list of the images of a split, in a folder of such lists."""
    folder = os.path.join(root, folder)
    path = os.path.join(folder, f"{split}.txt")
    if os.path.isfile(path):
        return path
    listed = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    splits = [name[:-4] for name in listed if name.endswith(".txt")]
    splits = [name for name in splits if "_" not in name] or splits  # Those of one class have its name before a _.
    choice = (
        f"name one of these with --source_split: {', '.join(splits[:9])}" if splits else "name the images with --list"
    )
    raise Refused(f"there is no {path}; {choice}")


def read(layouts: Sequence[Layout], found: list[Problem], *, names: bool) -> Read:
    """Pairs of the layouts, whose problems are added to `found`; with `names` all XML files of the folders are read."""
    annotated: list[tuple[pairs.Pair, voc_xml.Annotation]] = []
    marks, classes = set(), set()
    for layout in layouts:
        its: list[Problem] = []
        inside = pairs.of_folders(layout.images, layout.annotations, pairs.XML_FILE, its)
        listed, its = pairs.chosen(inside.pairs, its, layout.lists, images=inside.images)
        files = inside.others if names else [pair.other for pair in listed]
        annotations, bad = {}, {}
        for file in Bar(files, unit="file", desc="reading XML", leave=False, delay=1):
            try:
                annotations[file] = voc_xml.read(file.read(voc_xml.MOST_BYTES))
            except voc_xml.NoAnnotation as error:
                bad[file] = str(error)
            except (OSError, ValueError) as error:
                bad[file] = f"it cannot be read: {tar_files.reason(error)}"
        for pair in listed:
            if pair.other in bad:
                remedy = "The image is left out: correct or copy the XML file again, and run the same command."
                its.append(Problem(BROKEN, pair.other.name, bad[pair.other], remedy, pair.key))
            else:
                annotated.append((pair, annotations[pair.other]))
        objects = [one for annotation in annotations.values() for one in annotation.objects]
        classes |= {one.name for one in objects if one.name}
        marks |= {mark for mark in _MARKS if any(getattr(one, mark) is not None for one in objects)}
        found += its
    if names:
        remedy = "They stay two classes; if they are one, correct the XML files, or give its name alone with --classes."
        alike = class_folders.alike(sorted(classes), layouts[0].annotations)
        found += [replace(problem, remedy=remedy) for problem in alike]
    return Read(annotated, frozenset(marks), tuple(sorted(classes)))
