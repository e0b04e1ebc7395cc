"""Images and their label maps, paired by name; lists of the names of a split."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..build.problems import Problem, Refused
from . import class_folders
from .file_names import Names
from .tar_files import File

MAPS = (".bmp", ".gif", ".mat", ".png", ".tif", ".tiff")  # and JPEG, which `pixel_labels` names as a mistake
# What image and label map have behind their common name in datasets that people use: Cityscapes, CamVid, and others.
SUFFIXES = (
    ("", ""),
    ("_leftImg8bit", "_gtFine_labelIds"),
    ("_leftImg8bit", "_gtCoarse_labelIds"),
    ("", "_L"),
    ("", "_mask"),
    ("", "_label"),
    ("", "_labels"),
    ("_sat", "_mask"),
)


@dataclass(frozen=True)
class Pair:
    """An image and its label map."""

    key: str  # the name that both have, or the image's id
    image: File
    label: File
    segments: dict[int, int] | None = None  # label by number of segment, where the label map has those for values


def of_folders(
    images: str, labels: str, found: list[Problem], *, suffixes: tuple[str, str] | None = None
) -> list[Pair]:
    """Pairs in the order of their names; images without label map and the reverse are added to `found`.

    Two files are a pair if their paths in the folders are the same apart from extension and suffixes; else if their
    file names are, and no other file has that name. Both folders may be one.
    """
    pictures, _ = class_folders.listing(images, found)
    maps, _ = class_folders.listing(labels, found, flag="--labels", extensions=(*MAPS, ".jpg", ".jpeg"))
    maps.sort(key=lambda file: not file.name.lower().endswith(MAPS))  # JPEGs last, if both have one name
    for path, those, flag in ((images, pictures, "--images"), (labels, maps, "--labels")):
        if not those:
            raise Refused(f"{path} has no files of images; give the right folder with {flag}")
    tried = [suffixes] if suffixes else SUFFIXES
    # The suffixes that make the most pairs; of some that make as many the first.
    most = max(tried, key=lambda both: len(_joined(_by_key(pictures, both[0]), _by_key(maps, both[1]))))
    twice = None if os.path.abspath(images) == os.path.abspath(labels) else found
    by_image, by_label = _by_key(pictures, most[0], twice), _by_key(maps, most[1], twice)
    joined = _joined(by_image, by_label)
    if not joined:
        shown = f"{pictures[0].name} in {images} and {maps[0].name} in {labels}"
        raise Refused(
            f"no image has a label map of its name, see {shown}. Correct --images and --labels, or say with "
            "--image_suffix and --label_suffix what their names have behind what is common"
        )
    used = {by_image[key] for key in joined} | {by_label[key] for key in joined.values()}  # both may lie in one folder
    for key in sorted(key for key in by_image.keys() - joined.keys() if by_image[key] not in used):
        what, remedy = f"there is no label map of its name in {labels}", "The image is left out: add its label map."
        found.append(Problem("image without a label file", by_image[key].name, what, remedy, key))
    used |= set(by_image.values())
    for key in sorted(key for key in by_label.keys() - set(joined.values()) if by_label[key] not in used):
        what, remedy = f"there is no image of its name in {images}", "It is left out: add the image."
        found.append(Problem("label file without an image", by_label[key].name, what, remedy, key))
    return [Pair(key, by_image[key], by_label[joined[key]]) for key in sorted(joined)]


def _by_key(files: Iterable[File], suffix: str, found: list[Problem] | None = None) -> dict[str, File]:
    """Files whose name before the extension ends with the suffix, by what is before it."""
    made: dict[str, File] = {}
    for file in files:
        stem = os.path.splitext(file.name)[0]
        if not stem.endswith(suffix):
            continue
        other = made.setdefault(stem.removesuffix(suffix), file)
        if other is not file and found is not None:
            what = f"{other.name} has the same name apart from the extension"
            found.append(Problem("file twice", file.name, what, "The first is taken; remove the other."))
    return made


def _joined(by_image: dict[str, File], by_label: dict[str, File]) -> dict[str, str]:
    """Key of the label map by that of the image; no file is its own label map."""
    joined = {key: key for key in by_image if key in by_label}
    rest = [[key for key in keys if key not in joined] for keys in (by_image, by_label)]
    ours, theirs = (_by_base(keys) for keys in rest)
    joined |= {ours[base]: theirs[base] for base in ours if base in theirs}
    return {key: other for key, other in joined.items() if by_image[key] != by_label[other]}


def _by_base(keys: Iterable[str]) -> dict[str, str]:
    """Keys by their last part, where it is the only one."""
    keys = list(keys)
    counts = Counter(os.path.basename(key) for key in keys)
    return {os.path.basename(key): key for key in keys if counts[os.path.basename(key)] == 1}


def listed(pairs: Sequence[Pair], wanted: Iterable[str]) -> tuple[list[Pair], list[str]]:
    """The pairs that a list names, in the order of the list, and the names that no pair has."""
    of_image = {pair.image: pair for pair in pairs}
    names = Names(list(of_image), {pair.key: pair.image for pair in pairs})
    found = {name: names.of(name) for name in wanted}
    taken = {of_image[image].key: of_image[image] for image in found.values() if image is not None}
    return list(taken.values()), [name for name, image in found.items() if image is None]
