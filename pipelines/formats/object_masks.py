"""A PNG for each object: in a folder for each image, or with the name of the image before that of the object."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..build.problems import NoClass, Problem, Refused, Reporter, short
from . import class_folders, mask_files, pairs
from .drawn import Drawing, Picture, Pixels, Shape
from .tar_files import File

_FOLDER = re.compile(r"masks?", re.IGNORECASE)
_BETWEEN = "_. -"  # characters between the parts of a name
_NUMBER = re.compile(rf"(^|[/{_BETWEEN}]+)(\d+|[0-9a-f]{{8}})$")  # or eight hexadecimal digits, as of OpenImages
_FIRST_NUMBER = re.compile(rf"^[{_BETWEEN}]*\d+[{_BETWEEN}]+")
# Words behind the name of an image that are no class.
_NO_CLASS = re.compile(r"(masks?|seg|segmentation|labels?|instances?|inst|objects?|obj|gt)?", re.IGNORECASE)


def read(images: str, masks: str, class_name: str, found: list[Problem]) -> Drawing:
    """What the masks of a folder say of the images of another, or of the same one.

    Args:
        images: folder of the images.
        masks: folder of the masks, which may be that of the images or lie in it.
        class_name: of all objects; "": that in the names of the files.
        found: takes the problems.

    Raises:
        Refused: there are none, or they name no class.
    """
    pictures, files = listed(images, masks, found)
    for path, those, what, flag in ((images, pictures, "image", "--images"), (masks, files, "mask", "--annotations")):
        if not those:
            raise Refused(f"{path} has no {what}; give the right folder with {flag}")
    drawing, shapes, unnamed = Drawing(), {}, []
    image_of = Images(pictures)
    for file in files:
        image, rest = image_of.mask(file)
        if image is None:
            remedy = "It is left out: put the image there, or name the mask IMAGE_CLASS_NUMBER or IMAGE/CLASS_NUMBER."
            what = f"no image in {images} has its name, or the beginning of it"
            Reporter(found, file.name)("mask without an image", what, remedy)
            drawing.left_out += 1
            continue
        name = class_name or class_of(rest)
        if name:
            shapes.setdefault(image, []).append(Shape(file.name, name, pixels=Pixels(file)))
        else:
            remedy = "It is left out: name it IMAGE_CLASS_NUMBER, or name the class of all objects by --class_name."
            Reporter(found, file.name)("mask without a class", f"its name has none behind {image.name}", remedy)
            unnamed.append(file)
    drawing.left_out += len(unnamed)
    if unnamed and not shapes:
        what = f"the names of {len(unnamed):,} masks have no class, such as {short(unnamed[0].name)}"
        raise NoClass(f"{masks}: {what}; name that of all objects by --class_name")
    drawing.pictures = [Picture(image.name, image, masks, tuple(those)) for image, those in shapes.items()]
    drawing.unnamed = [image for image in pictures if image not in shapes]
    return drawing


def listed(images: str, masks: str, found: list[Problem]) -> tuple[list[File], list[File]]:
    """The images and the masks of two folders; no file is both."""
    pictures, _ = class_folders.listing(images, found)
    files, _ = class_folders.listing(masks, found, "--annotations", mask_files.EXTENSIONS)
    known = {file.span for file in pictures}
    if sum(file.span in known for file in files) == len(pictures):
        named = [file for file in files if any(map(_FOLDER.fullmatch, file.name.split("/")[:-1]))]
        files = named or _beside(pictures, files)
    taken = {file.span for file in files}
    return [file for file in pictures if file.span not in taken], files


def _beside(pictures: Sequence[File], files: Sequence[File]) -> list[File]:
    """The masks of a folder of both: their names go on after those of images.

    One whose name goes on without a class is an image, if that of another goes on with one after it: a_2.png of
    a_2_ant_1.png, beside a.png.
    """
    image_of = Images(pictures)
    longer = {file: both for file in files if (both := image_of.before(file))}
    images = {image.span for image, rest in longer.values() if class_of(rest)}
    return [file for file, (_, rest) in longer.items() if class_of(rest) or file.span not in images]


class Images:
    """Images by what names of masks may call them."""

    def __init__(self, images: Sequence[File]):
        stems = [(pairs.composed(os.path.splitext(image.name)[0]), image) for image in images]
        count = Counter(os.path.basename(stem) for stem, _ in stems)
        bases = {os.path.basename(stem): image for stem, image in stems if count[os.path.basename(stem)] == 1}
        self._known = bases | dict(stems)

    def mask(self, file: File) -> tuple[File | None, str]:
        """The image of a mask, and what its name has beside that of the image; None where there is no image."""
        *folders, stem = pairs.composed(os.path.splitext(file.name)[0]).split("/")
        for count in range(len(folders), 0, -1):
            image = self._of(folders[:count])
            if image:
                return image, f"/{stem}"
        for end in _ends(stem):
            image = self._of([*folders, stem[:end]])
            if image:
                return image, stem[end:]
        return None, ""

    def before(self, file: File) -> tuple[File, str] | None:
        """The image after whose name that of a file goes on, and how; None if there is none."""
        *folders, stem = pairs.composed(os.path.splitext(file.name)[0]).split("/")
        found = ((self._of([*folders, stem[:end]]), stem[end:]) for end in _ends(stem) if end < len(stem))
        return next(((image, rest) for image, rest in found if image), None)

    def _of(self, parts: Sequence[str]) -> File | None:
        return self._known.get("/".join(parts)) or self._known.get(parts[-1])


def _ends(stem: str) -> Iterator[int]:
    """Where the name of an image may end in that of a mask, the longest first."""
    yield len(stem)
    yield from (at for at in range(len(stem) - 1, 0, -1) if stem[at] in _BETWEEN)


def class_of(rest: str) -> str:
    """The class in what the name of a mask has beside that of its image, as _car_2 or /car_2; "" without one.

    A whole name, which begins with a slash, has one where it has a number behind it, or no digit at all.
    """
    numbered = _NUMBER.search(rest)
    name = _FIRST_NUMBER.sub("", _NUMBER.sub("", rest.lstrip("/"))).strip(_BETWEEN)
    told = numbered or not rest.startswith("/") or not re.search(r"\d", name)
    return name if told and not _NO_CLASS.fullmatch(name) else ""
