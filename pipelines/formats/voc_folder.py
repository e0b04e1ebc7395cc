"""Images and XML files in the format of Pascal VOC: where they lie, which belong together, and which a list names."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from ..build.problems import Problem, Refused
from . import class_folders, file_names, tar_files, voc_xml
from .file_names import Names, stem
from .tar_files import File

_MARKS = ("difficult", "truncated", "pose")


@dataclass(frozen=True)
class Layout:
    """Where the images of a split are."""

    images: str
    annotations: str
    lists: tuple[str, ...] = ()  # files that name the images; (): all


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its annotation."""

    key: str  # the image's name without its extension
    image: File
    xml: File
    annotation: voc_xml.Annotation


@dataclass(frozen=True)
class Read:
    """What the folders hold."""

    pairs: list[Pair]
    marks: frozenset[str]  # those of difficult, truncated and pose that a file has
    names: tuple[str, ...]  # of all files of the folders, if asked for, else of those in `pairs`; alphabetical


def devkit(path: str, split: str, lists: tuple[str, ...] = ()) -> Layout:
    """The Layout of a split of a devkit, or of `lists`; the path may be that of VOCdevkit if that holds one year."""
    folder = _devkit_folder(path)
    return Layout(
        os.path.join(folder, "JPEGImages"), os.path.join(folder, "Annotations"), lists or (_list(folder, split),)
    )


def _devkit_folder(path: str) -> str:
    folders = [path, os.path.join(path, "VOCdevkit"), os.path.join("VOCdevkit", path)]
    for folder in folders:
        if _is_devkit(folder):
            return folder
        inside = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        years = [year for name in inside if _is_devkit(year := os.path.join(folder, name))]
        if len(years) > 1:
            raise Refused(f"--devkit={path} holds {', '.join(years)}: give one of them, or several with commas between")
        if years:
            return years[0]
    raise Refused(f"--devkit={path} has no JPEGImages and Annotations; give the folder that holds both")


def _is_devkit(folder: str) -> bool:
    return all(os.path.isdir(os.path.join(folder, name)) for name in ("JPEGImages", "Annotations"))


def _list(folder: str, split: str) -> str:
    lists = os.path.join(folder, "ImageSets", "Main")
    path = os.path.join(lists, f"{split}.txt")
    if not os.path.isfile(path):
        there = sorted(name[:-4] for name in os.listdir(lists) if name.endswith(".txt")) if os.path.isdir(lists) else []
        there = [name for name in there if "_" not in name] or there  # Those of one class have its name before a _.
        such = (
            f"name one that is there with --source_split: {', '.join(there[:9])}" if there else "give one with --list"
        )
        raise Refused(f"there is no {path}; {such}")
    return path


def read(layouts: Sequence[Layout], found: list[Problem], *, names: bool) -> Read:
    """Pairs of the layouts, whose problems are added to `found`; with `names` all XML files of the folders are read."""
    taken: list[Pair] = []
    marks, classes = set(), {}
    for layout in layouts:
        its, seen = _read(layout, found, names)
        taken += its
        for file, annotation in seen:
            for one in annotation.objects:
                marks |= {mark for mark in _MARKS if getattr(one, mark) is not None}
                if one.name:
                    classes.setdefault(one.name, file)
    if names:
        path = layouts[0].annotations
        remedy = "They stay two classes; if they are one, correct the XML files, or give its name alone with --classes."
        found += [replace(problem, remedy=remedy) for problem in class_folders.alike(sorted(classes), path)]
    return Read(taken, frozenset(marks), tuple(sorted(classes)))


def _read(layout: Layout, found: list, names: bool) -> tuple[list[Pair], list[tuple[File, voc_xml.Annotation]]]:
    """Pairs of a layout, and all annotations that were read: those of the pairs, or, with `names`, of all files."""
    pictures, _ = class_folders.listing(layout.images, found)
    files, _ = class_folders.listing(layout.annotations, found, flag="--annotations", extensions=(".xml",))
    for path, those, flag in ((layout.images, pictures, "--images"), (layout.annotations, files, "--annotations")):
        if not those:
            raise Refused(f"{path} has no {'XML files' if those is files else 'images'}; correct {flag}")
    found += _twice(pictures)
    by_image, by_xml = Names(pictures), Names(files)
    wanted = _listed(layout.lists, by_image, by_xml) if layout.lists else dict.fromkeys(by_image.stems)
    chosen = _joined(wanted, by_image, by_xml, layout, found)
    ours = {xml for _, xml in chosen}
    annotations, bad = {}, {}
    for file in tqdm(files if names else ours, unit="file", desc="reading XML", leave=False, delay=1):
        try:
            annotations[file] = voc_xml.read(_content(file))
        except voc_xml.NoAnnotation as error:
            bad[file] = str(error)
    taken = []
    for image, xml in chosen:
        key = stem(image.name)
        if xml in bad:
            remedy = "The image is left out: correct or copy the XML file again, and run the same command."
            found.append(Problem("XML file that is no annotation", xml.name, bad[xml], remedy, key))
        else:
            taken.append(Pair(key, image, xml, annotations[xml]))
    return taken, list(annotations.items())


def _twice(pictures: Iterable[File]) -> list[Problem]:
    """Images whose names differ in the extension alone."""
    first: dict[str, File] = {}
    return [
        Problem("file twice", file.name, f"{other.name} has the same name apart from the extension",
                "The first is taken; remove the other.", stem(file.name))
        for file in pictures
        if (other := first.setdefault(stem(file.name), file)) is not file
    ]  # fmt: skip


def _listed(lists: Iterable[str], images: Names, files: Names) -> list[str]:
    """Names of the lists; a second column, such as 1, 0 or -1 of a class's list, belongs to no name."""
    lines = [line for path in lists for line in file_names.lines(path, "--list")]
    return [line if images.of(line) or files.of(line) else line.split()[0] for line in lines]


def _joined(
    wanted: Iterable[str], images: Names, files: Names, layout: Layout, found: list[Problem]
) -> list[tuple[File, File]]:
    """Images of the names, each once, with their XML files."""
    times: dict[File, int] = {}
    for name in wanted:
        image = images.of(name)
        if image is not None:
            times[image] = times.get(image, 0) + 1
            continue
        what = f"no image of {layout.images} has this name, or several have"
        said = name if len(name) <= 100 else f"{name[:97]}..."
        found.append(Problem("name without an image", said, what, "Add the image, or take the name out.", said))
    joined: dict[File, File] = {}  # image by XML file
    for image, count in times.items():
        key, xml = stem(image.name), files.of(stem(image.name))
        if count > 1:
            what = f"{' and '.join(layout.lists)}: {count} lines name it"
            found.append(
                Problem("name twice in the list", image.name, what, "It is taken once; remove the others.", key)
            )
        if xml is None:
            what = f"there is no XML file of its name in {layout.annotations}"
            remedy = "The image is left out: add the file, for an image without objects one that has none."
            found.append(Problem("image without an XML file", image.name, what, remedy, key))
        elif joined.setdefault(xml, image) is not image:
            what = f"{xml.name} is of {joined[xml].name} too, by its name"
            remedy = "The image is left out: put images and XML files into folders of the same names."
            found.append(Problem("XML file of two images", image.name, what, remedy, key))
    for xml in [] if layout.lists else files.all:
        if xml not in joined:
            what, remedy = f"there is no image of its name in {layout.images}", "Add the image, or take the file away."
            found.append(Problem("XML file without an image", xml.name, what, remedy, stem(xml.name)))
    return [(image, xml) for xml, image in joined.items()]


def _content(file: File) -> bytes:
    """Bytes of an XML file, not many more than one may have; NoAnnotation if it cannot be read."""
    if file.offset < 0 and not os.path.isfile(file.path):  # e.g. a pipe, which may never end
        raise voc_xml.NoAnnotation(f"{file.path} is no file, or is a link to none")
    size = file.size if file.offset >= 0 else tar_files.state(file.path)[0]
    if size > voc_xml.MOST_BYTES:
        raise voc_xml.NoAnnotation(f"it has {size:,} bytes, more than the {voc_xml.MOST_BYTES:,} of any annotation")
    try:
        return file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise voc_xml.NoAnnotation(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
