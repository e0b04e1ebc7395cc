"""Image files into records: their bytes, converted only where TensorFlow cannot decode them; decoded once to see."""

import warnings

from PIL import Image

from tfrecog.data import image_numpy, image_parts

from ..build import image_records
from ..build.image_records import Encoded
from ..build.problems import Reporter
from . import exif
from .tar_files import File, reason

_AGAIN = "The image is left out: download or copy the file again, and run the same command."
_MODES = {"JPEG": ("L", "RGB"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA")}  # that training can decode


def content(file: File, report: Reporter, kind: str = "image", replace: str = _AGAIN) -> bytes:
    """The bytes of a file; LeftOut if it cannot be read."""
    try:
        return file.read()
    except (OSError, ValueError) as error:
        report.leave_out(f"{kind} file cannot be read", f"{file.place}: {reason(error)}", replace)


def read(file: File, report: Reporter, size: tuple[int, int] | None = None, *, replace: str = _AGAIN, **options):
    """The image (Encoded) of a file; else as `of_bytes`."""
    return of_bytes(content(file, report, replace=replace), file.place, report, size, replace=replace, **options)


def of_bytes(
    data: bytes,
    place: str,
    report: Reporter,
    size: tuple[int, int] | None = None,
    *,
    rule: exif.Rule = "auto",
    reach: exif.Size | None = None,
    annotations: str = "JSON",
    replace: str = _AGAIN,
) -> Encoded:
    """The image of a file's bytes; LeftOut if it cannot be used.

    Args:
        data: the bytes.
        place: where they are.
        report: takes the problems.
        size: (height, width) that the annotations are for, if they say so.
        rule: what its EXIF data mean, `upright` for images without annotations of places in them.
        reach: the largest y and x of the annotated boxes, if there are some.
        annotations: what they are in, for the problems.
        replace: what to do with an image that cannot be decoded.
    """
    stored = _opened(data, place, report, replace, colors=False)
    as_stored, upright = exif.sizes(stored)
    if size and size not in ((as_stored,) if rule == "file" else (as_stored, upright)):
        sides = f"{as_stored[0]} x {as_stored[1]}"
        what = f"the {annotations} says {size[0]} x {size[1]} (height x width), the file is {sides}"
        remedy = f"The image is skipped: correct the {annotations}, or use the file that was annotated."
        report.leave_out(f"size in the {annotations} disagrees with the file", what, remedy)
    turn, doubt = exif.turned(stored, rule, size, reach)
    whole = image_parts.are_whole(data)
    if not whole or stored.orientation != 1:
        stored = _opened(data, place, report, replace)
    image = stored.upright() if turn else stored
    mode, values = image.picture.mode, image.values()
    if not whole:
        what = f"parts of the {stored.kind} are damaged or missing, so that training could not decode it"
        remedy = "It is stored as PNG, with the pixels that are shown of it: copy or download the file again."
        report("image is damaged", what, remedy)
    _report_turn(stored.orientation, turn, doubt, report)
    # Bytes with an orientation would be shown turned, by tools that are given them and their boxes.
    if whole and stored.orientation == 1 and values is None and mode in _MODES.get(stored.kind, ()):
        return Encoded(data, stored.kind.lower(), *as_stored)
    if values is not None:
        what = f"{stored.kind} image of pixels of the type {values.dtype.name}, which training takes as 8 bits"
        remedy = "It is stored as PNG by the pixel_ranges of dataset.json; nothing needs to be done."
        report("image converted", what, remedy)
        return Encoded(values, "png", *(upright if turn else as_stored))
    if whole and stored.orientation == 1:
        what = f"{stored.kind} image of mode {mode}, which training cannot decode"
        report("image converted", what, "It is stored as an RGB PNG; nothing needs to be done.")
    return image_records.encode(Image.fromarray(image.rgb()), "png")


def _report_turn(orientation: int, turn: bool, doubt: str, report: Reporter) -> None:
    what = f"its EXIF data turn or mirror it (orientation {orientation})"
    if doubt:
        remedy = (
            "It is turned upright; if the file was annotated as it is, build with --orientation=file."
            if turn
            else "It is stored as the file has it, and prediction turns it: build with --orientation=upright if it "
            "was annotated so, else with --orientation=file."
        )
        report("image may be annotated turned", f"{what}, and {doubt}", remedy)
    elif orientation != 1:
        how = "It is turned upright" if turn else "It stays as it was annotated, without these data,"
        report("image converted", what, f"{how} and stored as PNG; nothing needs to be done.")


def _opened(data: bytes, place: str, report: Reporter, replace: str, **colors: bool) -> image_numpy.Opened:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of corrupt EXIF data, which does not matter here
            return image_numpy.opened(data, **colors)
    except image_numpy.Unreadable as error:
        what = f"{place}: {error}"
        if error.kind == "too large":
            report.leave_out("image is too large", what, "Make it smaller, and its annotations with it.")
        if error.kind == "too many parts":
            remedy = "The image is left out: re-save it, and build again with the new file."
            report.leave_out("image file of too many parts", what, remedy)
        if error.kind == "other format":
            remedy = "The image is left out: convert it, and build again with the new file."
            report.leave_out("image of a format that is not read", what, remedy)
        kind = "image file is empty" if error.kind == "empty" else "image cannot be decoded"
        report.leave_out(kind, what, replace)
