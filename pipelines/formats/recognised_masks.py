"""Which kinds of PNGs beside images a folder holds: classes of pixels, numbers of instances, or one object each."""

import dataclasses
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..build.problems import LeftOut, Reporter
from . import instance_maps, mask_files, object_masks, pairs, presets
from .class_folders import SPLITS
from .tar_files import File

_FOLDER = re.compile(r"mask|label|seg|annot|gt|instance", re.IGNORECASE)
_OF_IMAGES = re.compile(r"image|img", re.IGNORECASE)
_OF_INSTANCES, _OF_CLASSES = (re.compile(words, re.IGNORECASE) for words in ("instance|object", "class|semantic"))
_SAMPLE = 40  # files of a folder that are looked at, or less than twice as many
_MOST_CLASSES = 255  # of a label map
_BESIDE, _NO_FOLDER = "_mask.png", 1000  # the end of masks beside their images, and no place of a folder in a name
_COUNTS = 4  # different numbers of objects in an image, as many as which are not of classes


def parts(images: Iterable[File], split_of: Callable[[str], str]) -> Iterator[tuple[str, str, str, str]]:
    """The kind, the folder, the split and the folder of the images of each group of masks among pictures.

    Masks lie in a folder that is called so, or are called IMAGE_mask.png beside their images (Roboflow). Where their
    values may be both those of classes and of instances, both kinds are given; where they are pictures of colours,
    also that of folders of classes. `split_of` gives the split that a path names.
    """
    groups, pictures, names = defaultdict(list), [], {}
    images = [*images]
    near = beside_images(file.name for file in images)
    for file in images:
        names[file.path] = file.name
        depth = _depth(file.name)
        if file.name in near:
            groups["", _NO_FOLDER, split_of(os.path.dirname(file.name))].append(file)
        elif depth is not None and file.name.lower().endswith(".png"):
            name = file.name.split("/")[depth]
            groups[name, depth, split_of(os.path.dirname(file.name))].append(file)
        else:
            pictures.append(file)
    image_of = object_masks.Images(pictures)
    for (name, depth, split), masks in groups.items():
        of_kind: dict[str, list[tuple[File, File]]] = defaultdict(list)
        beside, listed = set(), [[_without(file, depth) for file in those] for those in (pictures, masks)]
        for suffixes in dict.fromkeys((*presets.SUFFIXES, *instance_maps.SUFFIXES)):
            matched = pairs.matched(*map(pairs.keyed, listed, suffixes))
            beside |= {mask.path for mask in matched.values()}
            for kind in _kinds(name, suffixes[1], [*matched.values()]) if matched else ():
                of_kind[kind] += matched.items()
        for mask in masks:
            image, _ = image_of.mask(mask)
            if image and mask.path not in beside:
                of_kind["masks"].append((image, mask))
        if of_kind["masks"] and _values([mask for _, mask in of_kind["masks"]]) is None:
            of_kind["classes"] = of_kind["masks"]
        for kind, those in ((kind, those) for kind, those in of_kind.items() if those):
            folders = [_root(*both, depth) if kind == "masks" else _folder(both[1]) for both in those]
            # CamVid's trainannot has no word that names a split; the folder of its images, train, has.
            of_images = split_of(os.path.commonpath([os.path.dirname(names[image.path]) for image, _ in those]))
            yield kind, _common(folders), split or of_images, _common(_folder(image) for image, _ in those)


def beside_images(names: Iterable[str]) -> set[str]:
    """Those of the names of files that are of masks beside an image."""
    names = [*names]
    stems = {os.path.splitext(name)[0] for name in names}
    return {name for name in names if name.endswith(_BESIDE) and name.removesuffix(_BESIDE) in stems}


def named(images: Iterable[File]) -> bool:
    """Whether a folder is called as one of images, which no class is, or folders of splits lie beside others."""
    folders = {file.name.split("/")[0].lower() for file in images if "/" in file.name}
    inner = {name for file in images for name in file.name.split("/")[:-1]}
    return any(map(_OF_IMAGES.search, inner)) or bool(folders & SPLITS and folders - SPLITS)


def _depth(name: str) -> int | None:
    """Place in the name of a file of the first folder that is called as one of masks; None without one."""
    folders = name.split("/")[:-1]
    called = (k for k, one in enumerate(folders) if _FOLDER.search(one) and not _OF_IMAGES.search(one))
    return next(called, None)


def _without(file: File, depth: int) -> File:
    """The file with a name without the folder in a place, which is that of the images or that of the masks."""
    parts = file.name.split("/")
    return dataclasses.replace(file, name="/".join(parts[:depth] + parts[depth + 1 :] or parts[-1:]))


def _common(folders: Iterable[str]) -> str:
    return os.path.commonpath([*folders]) or os.curdir


def _root(image: File, mask: File, depth: int) -> str:
    """The folder of masks in which a mask lies, which is in a place of its name; or that above one of the image."""
    stem, folders = os.path.splitext(os.path.basename(image.name))[0], mask.name.split("/")[:-1]
    kept = folders.index(stem) if stem in folders[:depth] else depth + 1
    return _folder(mask) if mask.offset >= 0 else str(Path(mask.path).parents[len(folders) - kept])


def _folder(file: File) -> str:
    return os.path.dirname(file.path)


def _kinds(folder: str, suffix: str, masks: Sequence[File]) -> list[str]:
    """What the masks of a folder, one for each image, may be: by the end of their names, its name, or their values."""
    if suffix.endswith("_instanceIds"):
        return ["cityscapes"]
    maps = _values(masks)
    if maps is None:
        return ["label_maps", "classes"]
    void = {instance_maps.VOID} if instance_maps.marks_borders(maps) else set()
    maps = [{*values} - void for values in maps]
    there = set().union(*maps)
    if max(there, default=0) >= instance_maps.FACTOR:
        return ["cityscapes"]
    if max(there, default=0) > _MOST_CLASSES or _OF_INSTANCES.search(folder):
        return ["instance_maps"]
    # Objects are numbered 1, 2, 3, ... in each image, unless it is of a film. That classes are so too, 3 in no image
    # without 1 and 2, is rare.
    gaps = sum(values != set(range(1, len(values) + 1)) for values in maps)
    if _OF_CLASSES.search(folder) or there != set(range(1, len(there) + 1)) or 2 * gaps > len(maps):
        return ["label_maps"]
    counts = {len(values) for values in maps if values}
    return ["instance_maps"] if not gaps and len(counts) >= _COUNTS else ["label_maps", "instance_maps"]


def _values(masks: Sequence[File]) -> list[list[int]] | None:
    """The values of some masks, without 0; None where one has colours."""
    some = masks[:: max(1, len(masks) // _SAMPLE)]
    try:
        return [instance_maps.numbers(mask_files.values(file, Reporter([], file.name))) for file in some]
    except LeftOut:
        return None
