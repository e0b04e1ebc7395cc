"""Image files into records: their bytes, converted only where TensorFlow cannot decode them; decoded once to see."""

import warnings

from PIL import Image, ImageOps

from tfrecog.data import image_numpy

from ..build import image_records
from ..build.image_records import Encoded
from ..build.problems import Reporter
from .tar_files import File

_AGAIN = "The image is left out: download or copy the file again, and run the same command."
_MODES = {"JPEG": ("L", "RGB"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA")}  # that training can decode


def content(file: File, report: Reporter, kind: str = "image", replace: str = _AGAIN) -> bytes:
    """The bytes of a file; LeftOut if it cannot be read."""
    try:
        return file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        what = f"{file.place}: {getattr(error, 'strerror', None) or error}"
        report.leave_out(f"{kind} file cannot be read", what, replace)


def read(file: File, report: Reporter, size: tuple[int, int] | None = None, *, replace: str = _AGAIN, **options):
    """The image (Encoded) of a file; else as `of_bytes`."""
    return of_bytes(content(file, report, replace=replace), file.place, report, size, replace=replace, **options)


def of_bytes(
    data: bytes,
    place: str,
    report: Reporter,
    size: tuple[int, int] | None = None,
    *,
    objects: bool = True,
    annotations: str = "JSON",
    replace: str = _AGAIN,
) -> Encoded:
    """The image of a file's bytes; LeftOut if it cannot be used.

    Args:
        data: the bytes.
        place: where they are.
        report: takes the problems.
        size: (height, width) that the annotations are for, if they say so.
        objects: its annotations have positions in it, so that it matters how it is turned.
        annotations: what they are in, for the problems.
        replace: what to do with an image that cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of corrupt EXIF data, which does not matter here
            image = image_numpy.opened(data)
            orientation = image_numpy.orientation(image)
    except image_numpy.Unreadable as error:
        if error.kind == "too large":
            report.leave_out("image is too large", str(error), "Make it smaller, and its annotations with it.")
        kind = "image file is empty" if error.kind == "empty" else "image cannot be decoded"
        report.leave_out(kind, f"{place}: {error}", replace)

    turn = orientation in range(5, 9) and image.width != image.height and size == image.size
    height, width = (image.width, image.height) if turn else (image.height, image.width)
    if size and size != (height, width):
        what = f"the {annotations} says {size[0]} x {size[1]} (height x width), the file is {height} x {width}"
        remedy = f"The image is skipped: correct the {annotations}, or use the file that was annotated."
        report.leave_out(f"size in the {annotations} disagrees with the file", what, remedy)
    if turn:
        what = f"its EXIF data turn it (orientation {orientation}), and the annotations are for the turned image"
        report("image converted", what, "It is turned and stored as PNG; nothing needs to be done.")
        image = ImageOps.exif_transpose(image)
    else:
        _report_orientation(image, orientation, size, objects, report)
        kind = "JPEG" if image.format == "MPO" else image.format or ""  # MPO: a JPEG with another one behind it
        if image.mode in _MODES.get(kind, ()):
            return Encoded(data, kind.lower(), height, width)
        what = f"{image.format} image of mode {image.mode}, which training cannot decode"
        report("image converted", what, "It is stored as an RGB PNG; nothing needs to be done.")
    return image_records.encode(Image.fromarray(image_numpy.to_rgb(image)), "png")


def _report_orientation(image: Image.Image, orientation: object, size, objects: bool, report: Reporter) -> None:
    """Reports an EXIF orientation after which viewers turn or mirror an image that is stored as its file has it."""
    if orientation not in range(2, 9):  # 0 and what is no orientation turn nothing
        return
    what = f"its EXIF data turn or mirror it (orientation {orientation}), and "
    if not objects:
        remedy = "If that matters, save it upright, without EXIF."
        report("image is turned", f"{what}training sees it as the file has it", remedy)
    elif not size or image.width == image.height or orientation in range(2, 5):  # The stated size does not tell.
        remedy = (
            "It is stored as the file has it. If it was annotated as viewers show it, save it upright, without EXIF."
        )
        report("image may be annotated turned", f"{what}no size tells of which image", remedy)
