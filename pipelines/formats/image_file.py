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
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 swap height and width


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
            orientation = image.getexif().get(_ORIENTATION, 1)
    except image_numpy.Unreadable as error:
        if error.kind == "too large":
            return None, [problem("image is too large", str(error), "Make it smaller, and its annotations with it.")]
        kind = "image file is empty" if error.kind == "empty" else "image cannot be decoded"
        return None, [problem(kind, f"{place}: {error}", replace)]

    found, width, height = [], *image.size
    turns = orientation in range(2, 9)  # 0 and what is no orientation turn nothing
    sides_swap = orientation in range(5, 9) and width != height
    turned = sides_swap and size == (width, height)
    if turned:
        image = ImageOps.exif_transpose(image)
        what = f"its EXIF data turn it (orientation {orientation}), and the annotations are for the turned image"
        found.append(problem("image converted", what, "It is turned and stored as PNG; nothing needs to be done."))
        width, height = image.size
    elif size and size != (height, width):
        what = f"the {annotations} says {size[0]} x {size[1]} (height x width), the file is {height} x {width}"
        remedy = f"The image is skipped: correct the {annotations}, or use the file that was annotated."
        return None, [problem(f"size in the {annotations} disagrees with the file", what, remedy)]
    elif turns and not objects:
        what = f"its EXIF data turn or mirror it (orientation {orientation}), and training sees it as the file has it"
        found.append(problem("image is turned", what, "If that matters, save it upright, without EXIF."))
    elif turns and not (sides_swap and size):
        what = f"its EXIF data turn or mirror it (orientation {orientation}), and no size tells of which image"
        remedy = (
            "It is stored as the file has it. If it was annotated as viewers show it, save it upright, without EXIF."
        )
        found.append(problem("image may be annotated turned", what, remedy))
    kind = "JPEG" if image.format == "MPO" else image.format  # MPO: a JPEG with another one behind it
    modes = {"JPEG": _JPEG_MODES, "PNG": _PNG_MODES}.get(kind or "", ())
    if turned or image.mode not in modes:
        if not turned:
            what = f"{image.format} image of mode {image.mode}, which training cannot decode"
            found.append(problem("image converted", what, "It is stored as an RGB PNG; nothing needs to be done."))
        return Encoded(_png(image), "png", height, width), found
    return Encoded(data, "jpeg" if kind == "JPEG" else "png", height, width), found


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image_numpy.to_rgb(image)).save(file, "PNG")
    return file.getvalue()
