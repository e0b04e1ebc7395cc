"""Images and the files beside them, label maps or annotations, paired by name; lists of the names of a split."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tfrecog.cli import files

from ..build.problems import Problem, Refused
from . import class_folders
from .tar_files import File

_LOSSY = (".jpeg", ".jpg")


@dataclass(frozen=True)
class Kind:
    """What lies beside the images."""

    one: str  # of it, such as "a label file"
    flag: str
    extensions: tuple[str, ...]
    add: str  # what to do about an image without one
    hint: str = ""  # where no name fits

    @property
    def noun(self) -> str:
        """Without the article."""
        return self.one.partition(" ")[2]


LABEL_FILE = Kind(
    "a label file",
    "--labels",
    (".bmp", ".gif", ".mat", ".png", ".tif", ".tiff", *_LOSSY),  # JPEG, to be named as a mistake
    "add its label map",
    ", or name with --image_suffix and --label_suffix what follows the common part of their names",
)
XML_FILE = Kind("an XML file", "--annotations", (".xml",), "add the file, for an image without objects one without any")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and the file beside it."""

    key: str  # the name that both have, or the image's id
    image: File
    other: File
    segments: dict[int, int] | None = None  # label by number of segment, where a label map has those for values

    @property
    def name(self) -> str:
        return self.image.name

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Folders:
    """What a folder of images and one of other files hold."""

    pairs: list[Pair]  # in the order of their names; several may have one other file, see `chosen`
    images: list[File]
    others: list[File]
    suffixes: tuple[str, str]  # of the images and the others that are in pairs


def of_folders(
    images: str, others: str, kind: Kind, found: list[Problem], suffixes: Sequence[tuple[str, str]] = (("", ""),)
) -> Folders:
    """Pairs of the files of two folders; images without the other file and the reverse are added to `found`.

    Two files are a pair if their paths in the folders are the same apart from extension and suffixes; else if their
    file names are, and no other file has that name. Both folders may be one. Of several `suffixes` (of the image, of
    the other) those that make the most pairs are taken.
    """
    pictures, _ = class_folders.listing(images, found)
    beside, _ = class_folders.listing(others, found, flag=kind.flag, extensions=kind.extensions)
    beside.sort(key=lambda file: file.name.lower().endswith(_LOSSY))  # last, if two have one name
    for path, those, noun, flag in ((images, pictures, "image", "--images"), (others, beside, kind.noun, kind.flag)):
        if not those:
            raise Refused(f"{path} has no {noun}s; give the right folder with {flag}")
    best = max(suffixes, key=lambda both: len(set(matched(*map(keyed, (pictures, beside), both)).values())))
    key_of, other_key_of = map(keyed, (pictures, beside), best)
    if not set(pictures) & set(beside):  # In one folder an image and its label map have one name.
        _report_twice(key_of, found)
        _report_twice(other_key_of, found)
    other_of = matched(key_of, other_key_of)
    if not other_of:
        shown = f"{pictures[0].name} in {images} and {beside[0].name} in {others}"
        raise Refused(f"no image has {kind.one} of its name, see {shown}. Correct --images and {kind.flag}{kind.hint}")
    used = {*other_of.values(), *other_of}
    for image, key in key_of.items():
        if image not in used:
            what, remedy = f"there is no {kind.noun} of its name in {others}", f"The image is left out: {kind.add}."
            found.append(Problem(f"image without {kind.one}", image.name, what, remedy, key))
    named = {other_key_of[other] for other in other_of.values()}
    for other, key in other_key_of.items():
        if other not in key_of and key not in named:
            what, remedy = f"there is no image of its name in {images}", "Add the image, or take the file away."
            found.append(Problem(f"{kind.noun} without an image", other.name, what, remedy, key))
    return Folders([Pair(key_of[image], image, other) for image, other in other_of.items()], pictures, beside, best)


def keyed(listed: Iterable[File], suffix: str) -> dict[File, str]:
    """What is before the suffix in the names of the files that end with it, apart from their extensions."""
    stem_of = {file: composed(os.path.splitext(file.name)[0]) for file in listed}
    return {file: stem.removesuffix(suffix) for file, stem in stem_of.items() if stem.endswith(suffix)}


def _report_twice(key_of: Mapping[File, str], found: list[Problem]) -> None:
    first: dict[str, File] = {}
    for file, key in key_of.items():
        other = first.setdefault(key, file)
        if other != file:
            what = f"{other.name} has the same name apart from the extension"
            found.append(Problem("file twice", file.name, what, "The first is taken; remove the other."))


def matched(key_of: Mapping[File, str], other_key_of: Mapping[File, str]) -> dict[File, File]:
    """The other file of each image that has one, by the whole key or else the last part; no file is its own."""
    whole, last = {}, defaultdict(list)
    for other, key in other_key_of.items():
        whole.setdefault(key, other)
    made = {image: whole[key] for image, key in key_of.items() if whole.get(key, image) != image}
    taken = set(made.values())
    for key, other in whole.items():
        if other not in taken:
            last[os.path.basename(key)].append(other)
    for image, key in key_of.items():
        those = last[os.path.basename(key)]
        if image not in made and len(those) == 1 and those[0] != image:
            made[image] = those[0]
    return {image: made[image] for image in key_of if image in made}


def chosen(
    pairs: Sequence[Pair],
    found: list[Problem],
    lists: Sequence[str],
    exclude: Sequence[str] = (),
    images: Sequence[File] = (),
) -> tuple[list[Pair], list[Problem]]:
    """The pairs that lists name, each once, in their order, and the problems with those; without lists all of them.

    `exclude` are lists of images to leave out; `images` are those that lists may mean, if some are in no pair. A file
    beside several images is of none of them, unless their names differ in the extension alone: then of the first.
    """
    pair_of = {pair.image: pair for pair in pairs}
    names = Names([*images, *pair_of], {pair.key: pair.image for pair in pairs})
    pairs = list(pairs)
    if lists:
        alone = [one for one in found if one.image_id and not one.kind.endswith("without an image")]
        known = {name: one for one in alone for name in (one.image_id, os.path.basename(stem(one.file)), one.file)}
        found = [problem for problem in found if not problem.image_id]
        lines_of: dict[File, int] = Counter()
        for line in (line for path in lists for line in lines(path, "--list")):
            first = line.split()[0]  # What follows a name is of a class, or a label map.
            image = names.of(line) or names.of(first)
            problem = known.get(image.name if image else os.path.basename(stem(first.replace("\\", "/"))))
            if image in pair_of:
                lines_of[image] += 1
            elif problem is None or problem not in found:
                shown = line if len(line) <= 100 else f"{line[:97]}..."
                what = f"{' and '.join(lists)} names it, and no image has this name, or several have"
                remedy = "Add the image, or take the name out."
                found.append(problem or Problem("name without an image", shown, what, remedy, shown))
        for image, count in lines_of.items():
            if count > 1:
                what, remedy = f"{' and '.join(lists)}: {count} lines name it", "It is taken once; remove the others."
                found.append(Problem("name twice in the list", image.name, what, remedy, pair_of[image].key))
        pairs = [pair_of[image] for image in lines_of]
    left_out = [line.split()[0] for path in exclude for line in lines(path, "--exclude")]
    if left_out:
        those, bases = {names.of(name) for name in left_out}, {os.path.basename(stem(name)) for name in left_out}
        pairs = [pair for pair in pairs if pair.image not in those]
        found = [problem for problem in found if os.path.basename(problem.image_id) not in bases]
    return _with_own_file(pairs, found), found


def _with_own_file(pairs: Iterable[Pair], found: list[Problem]) -> list[Pair]:
    """The pairs whose other file is of no other image; the images that share one are added to `found`."""
    images_of: dict[File, list[Pair]] = defaultdict(list)
    for pair in pairs:
        images_of[pair.other].append(pair)
    for other, those in images_of.items():
        for pair in those if len({pair.key for pair in those}) > 1 else ():
            what = f"{other.name} is, by its name, of {' and '.join(one.name for one in those[:3])}"
            remedy = "These images are left out: put images and the other files into folders of the same names."
            found.append(Problem("file of several images", pair.name, what, remedy, pair.key))
    return [those[0] for those in images_of.values() if len({pair.key for pair in those}) == 1]


def lines(path: str, flag: str) -> list[str]:
    """Lines of a list that are not empty: a name, such as 2007_000032 or a path to an image, and what follows it."""
    text = files.read_text(path, "a text file with one name a line", f"{flag}=")
    listed = [line.strip() for line in text.split("\n") if line.strip()]
    if not listed:
        raise Refused(f"{flag}={path} is empty; give one name a line")
    return listed


def composed(name: str) -> str:
    """The name with each letter and its accents as one character, which macOS stores as several."""
    return unicodedata.normalize("NFC", name)


def stem(name: str) -> str:
    """The name without the extension of an image or of an annotation: frame.0001 has none."""
    root, extension = os.path.splitext(name)
    return root if extension.lower() in (*class_folders.EXTENSIONS, ".xml") else name


class Names:
    """Files by what a list may call them: with or without folders and extension; `more` are other names of theirs."""

    def __init__(self, known: Iterable[File], more: Mapping[str, File]):
        self._whole: dict[str, File] = {}
        self._bases: dict[str, set[File]] = defaultdict(set)
        named = [(name, file) for file in known for name in (file.name, stem(file.name))]
        for name, file in ((composed(name), file) for name, file in [*named, *more.items()]):
            self._bases[os.path.basename(name)].add(self._whole.setdefault(name, file))

    def of(self, name: str) -> File | None:
        """The file of a name, which may be a path if no other file has its last part; None if there is none."""
        name = composed(name)
        tries = dict.fromkeys(one for way in (name, name.replace("\\", "/")) for one in (way, stem(way)))
        whole = next((self._whole[one] for one in tries if one in self._whole), None)
        those = next((self._bases[base] for one in tries if (base := os.path.basename(one)) in self._bases), set())
        return whole or (next(iter(those)) if len(those) == 1 else None)
