"""The values of the pixels of a label file, exactly as it has them."""

import io
from typing import NoReturn

import numpy as np
from PIL import Image

from tfrecog.data import image_numpy, image_parts

from ..build.problems import Reporter
from ..classes.pixel_classes import Table, to_labels

_GRAY_BITS = {2: 85, 4: 17}  # Pillow stretches gray PNGs of so few bits to 0..255
Labels = tuple[np.ndarray, dict[str, int]]  # [H, W] uint8, 0 ignored; pixels by value or colour that has no class


def read(
    data: bytes, table: Table, report: Reporter, segments: dict[int, int] | None = None, *, matlab: bool = False
) -> Labels:
    """Labels [H, W] uint8, 0 where a pixel is ignored, and pixels by what has no class: a value or a colour.

    Args:
        data: an image file, or SBD's MATLAB file.
        table: the classes.
        report: takes the reason why it is not a label map.
        segments: label by number of segment, where colours are such numbers (COCO's panoptic PNGs).
        matlab: it is a MATLAB file.

    Raises:
        LeftOut: it is not a label map.
    """
    if matlab:
        return of_values(_of_matlab(data, report), table, report)
    try:
        picture, kind, *_ = image_numpy.opened(data)
    except image_numpy.Unreadable as error:
        _undecodable(report, f"its {len(data):,} bytes are not an image that can be decoded ({error})")
    mode = picture.mode
    if not image_parts.are_whole(data):
        what, remedy = f"parts of the {kind} are damaged or missing", "Download or copy it again."
        _refuse(report, "label map is damaged", what, remedy)
    if kind in ("JPEG", "WEBP"):
        what, remedy = f"it is a {kind}, which changes the values of pixels", "Save it as PNG from the source."
        _refuse(report, "label map with losses", what, f"{remedy} The values here are lost.")
    if mode in ("RGB", "RGBA"):
        if not table.label_of_colour and segments is None:
            remedy = (
                "Give the classes colours in the file of --classes (name r g b), or save it as an 8-bit PNG of values."
            )
            _refuse(report, "RGB label file", f"it is an {mode} image, and the classes have no colours", remedy)
        numbers = np.asarray(picture.convert("RGB"), np.int64) @ [1, 256, 65536]
        if segments is not None:
            return _named("segment ", *to_labels(numbers, segments))
        labels, outside = to_labels(numbers, table.label_of_colour)
        return labels, {f"colour {n % 256} {n // 256 % 256} {n // 65536}": count for n, count in outside.items()}
    if mode.startswith("I") or mode == "F":
        top = int(np.asarray(picture, np.float64).max(initial=0))
        what = f"it has {'16' if mode.startswith('I') else '32'} bits a pixel, its highest value is {top}"
        remedy = "Save it with 8 bits, a value a class; if it numbers instances, take the file of the classes."
        _refuse(report, "16-bit label file", what, remedy)
    if mode not in ("1", "L", "P"):
        what, remedy = f"it is an image of mode {mode}", "Save it as a palette or gray PNG of 8 bits."
        _refuse(report, "label file of another kind", what, remedy)
    values = indices(picture, kind, data)
    return _named("", *to_labels(values, table.label_of if segments is None else segments))


def indices(picture: Image.Image, kind: str, data: bytes) -> np.ndarray:
    """Values [H, W] uint8 of a picture of mode 1, L or P, as its file has them; `data` are the bytes of that."""
    values = np.asarray(picture, np.uint8)
    if kind == "PNG" and picture.mode == "L" and data[25] == 0:  # in IHDR: bits a pixel at byte 24, gray is 0 at 25
        values = values // _GRAY_BITS.get(data[24], 1)
    return values


def of_values(values: np.ndarray, table: Table, report: Reporter) -> Labels:
    """As `read`, of an array [H, W] or [H, W, 1] of whole numbers."""
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        what = f"it has the shape {values.shape} and the type {values.dtype}"
        remedy = "A label map is [H, W] or [H, W, 1] of whole numbers."
        _refuse(report, "label file of another kind", what, remedy)
    return _named("", *to_labels(values, table.label_of))


def _refuse(report: Reporter, kind: str, what: str, remedy: str) -> NoReturn:
    report.leave_out(kind, what, f"The image is left out. {remedy}")


def _undecodable(report: Reporter, what: str) -> NoReturn:
    _refuse(report, "label map cannot be decoded", what, "Download or copy it again.")


def _named(what: str, labels: np.ndarray, outside: dict[int, int]) -> Labels:
    return labels, {f"{what}{value}": count for value, count in outside.items()}


def _of_matlab(data: bytes, report: Reporter) -> np.ndarray:
    """Values of SBD's MATLAB file, where they are GTcls.Segmentation."""
    from scipy.io import loadmat

    try:
        stored = loadmat(io.BytesIO(data), squeeze_me=True, struct_as_record=False)
        return np.asarray(stored["GTcls"].Segmentation, np.int64)
    except Exception as error:  # SciPy's reader raises many kinds.
        _undecodable(report, f"it has no GTcls.Segmentation that can be read ({type(error).__name__}: {error})")
