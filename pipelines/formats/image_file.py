"""Image files into records: their bytes, converted only where TensorFlow cannot decode them; decoded once to see."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..build.problems import Problem

_JPEG_MODES = ("L", "RGB")
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 swap height and width


@dataclass(frozen=True)
class Encoded:
    """An image that tf.io can decode."""

    data: bytes
    format: str  # "jpeg" or "png"
    height: int
    width: int


def read(path: str, name: str, image_id: str = "", size: tuple[int, int] | None = None):
    """The image of a file, or None, and the problems [Problem] with it.

    Args:
        path: the file.
        name: what to call it.
        image_id: for the problems.
        size: (height, width) that the annotations are for, if they say so.
    """

    try:
        with open(path, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        what = f"{path}: {getattr(error, 'strerror', None) or error}"
        remedy = "Put the file there, or take the image out of the JSON."
        return None, [Problem("image file cannot be read", name, what, remedy, image_id)]
    replace = "Download or copy the file again, or take the image out of the JSON."
    return of_bytes(data, path, name, replace, image_id, size)


def of_bytes(
    data: bytes,
    path: str,
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
        path, name, image_id, size: as in `read`.
        replace: what to do with an image that cannot be decoded.
        objects: it has annotations with places in it, for which it matters how it is turned.
        annotations: what they are in, for the problems.
    """

    def problem(kind, what, remedy):
        return Problem(kind, name, what, remedy, image_id)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of corrupt EXIF data, which does not matter here
            image = Image.open(io.BytesIO(data))
            image.load()
            orientation = image.getexif().get(_ORIENTATION, 1)
    except Image.DecompressionBombError as error:
        return None, [problem("image is too large", str(error), "Make it smaller, and its annotations with it.")]
    except Exception as error:  # Pillow's decoders raise many kinds.
        kind = "image file is empty" if not data else "image cannot be decoded"
        what = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # Pillow's words name an object in memory.
            what = f"{path}: {len(data)} bytes that are no image of a known format"
        return None, [problem(kind, what, replace)]

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
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):  # Pillow would clip what is brighter than 255.
        values = np.asarray(image, np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        image = Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return file.getvalue()
