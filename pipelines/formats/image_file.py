"""Image files into records: their bytes, converted only where TensorFlow cannot decode them; decoded once to see."""

import io
import warnings

from PIL import Image, ImageOps

from tfrecog.data import image_numpy

from ..build.image_records import Encoded
from ..build.problems import Problem
from .tar_files import File

_JPEG_MODES = ("L", "RGB")
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def content(file: File, name: str, replace: str, image_id: str = "", kind: str = "image"):
    """The bytes of a file, or None, and the problem [Problem] with it."""
    try:
        return file.read(), []
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        what = f"{file.place}: {getattr(error, 'strerror', None) or error}"
        return None, [Problem(f"{kind} file cannot be read", name, what, replace, image_id)]


def read(file: File, name: str, replace: str, image_id: str = "", size: tuple[int, int] | None = None, **options):
    """The image of a file, or None, and the problems [Problem] with it; else as `of_bytes`."""
    data, found = content(file, name, replace, image_id)
    if data is None:
        return None, found
    return of_bytes(data, file.place, name, replace, image_id, size, **options)


def of_bytes(
    data: bytes,
    place: str,
    name: str,
    replace: str,
    image_id: str = "",
    size: tuple[int, int] | None = None,
    *,
    objects: bool = True,
    annotations: str = "JSON",
):
    """The image of a file's bytes, or None, and the problems [Problem] with it.

    Args:
        data: the bytes.
        place: where they are.
        name: what to call the image.
        replace: what to do with an image that cannot be decoded.
        image_id: for the problems.
        size: (height, width) that the annotations are for, if they say so.
        objects: it has annotations with places in it, for which it matters how it is turned.
        annotations: what they are in, for the problems.
    """

    def problem(kind, what, remedy):
        return Problem(kind, name, what, remedy, image_id)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of corrupt EXIF data, which does not matter here
            image = image_numpy.opened(data)
            orientation = image_numpy.orientation(image)
    except image_numpy.Unreadable as error:
        if error.kind == "too large":
            return None, [problem("image is too large", str(error), "Make it smaller, and its annotations with it.")]
        kind = "image file is empty" if error.kind == "empty" else "image cannot be decoded"
        return None, [problem(kind, f"{place}: {error}", replace)]

    found, turn = _turned(image, orientation, size, objects)
    if turn:
        image = ImageOps.exif_transpose(image)
    width, height = image.size
    if size and size != (height, width):
        what = f"the {annotations} says {size[0]} x {size[1]} (height x width), the file is {height} x {width}"
        remedy = f"The image is skipped: correct the {annotations}, or use the file that was annotated."
        return None, [problem(f"size in the {annotations} disagrees with the file", what, remedy)]
    kind = "JPEG" if image.format == "MPO" else image.format  # MPO: a JPEG with another one behind it
    if turn or image.mode not in {"JPEG": _JPEG_MODES, "PNG": _PNG_MODES}.get(kind or "", ()):
        if not turn:
            what = f"{image.format} image of mode {image.mode}, which training cannot decode"
            found = [*found, ("image converted", what, "It is stored as an RGB PNG; nothing needs to be done.")]
        data, kind = _png(image), "PNG"
    return Encoded(data, "jpeg" if kind == "JPEG" else "png", height, width), [problem(*one) for one in found]


def _turned(image, orientation, size, objects):
    """Kind, words and remedy of the problem [0..1] with an EXIF orientation, and whether the image is to be turned."""
    sides_swap = orientation in range(5, 9) and image.width != image.height
    if sides_swap and size == image.size:
        what = f"its EXIF data turn it (orientation {orientation}), and the annotations are for the turned image"
        return [("image converted", what, "It is turned and stored as PNG; nothing needs to be done.")], True
    if orientation not in range(2, 9) or (size and size != (image.height, image.width)):
        return [], False  # 0 and what is no orientation turn nothing
    if not objects:
        what = f"its EXIF data turn or mirror it (orientation {orientation}), and training sees it as the file has it"
        return [("image is turned", what, "If that matters, save it upright, without EXIF.")], False
    if sides_swap and size:
        return [], False
    what = f"its EXIF data turn or mirror it (orientation {orientation}), and no size tells of which image"
    remedy = "It is stored as the file has it. If it was annotated as viewers show it, save it upright, without EXIF."
    return [("image may be annotated turned", what, remedy)], False


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image_numpy.to_rgb(image)).save(file, "PNG")
    return file.getvalue()
