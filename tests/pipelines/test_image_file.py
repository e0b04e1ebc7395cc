"""One image of a file: what its EXIF orientation means for its annotations, and what is reported of it."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from pipelines.build.problems import LeftOut, Reporter
from pipelines.formats import image_file
from tests import photos
from tfrecog.data import image as tensorflow_image
from tfrecog.data import image_numpy

DOUBT = "image may be annotated turned"
FILE, UPRIGHT, SQUARE = (4, 6), (6, 4), (5, 5)  # height, width of a file of 4 x 6 pixels, and turned by a quarter


def _photo(height, width, orientation):
    return photos.file(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8), "JPEG", orientation)


def _of_type(kind, count, value):
    """A JPEG of 4 x 6 pixels whose orientation is of a type of TIFF, by its number, and so many values."""
    entry = struct.pack("<HHI4s", photos.ORIENTATION, kind, count, value)
    exif, file = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4), io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def _read(data, size=None, rule="auto", **options):
    found = []
    try:
        image = image_file.of_bytes(data, "a.jpg", Reporter(found, "a.jpg", "7"), size, rule=rule, **options)
    except LeftOut:
        image = None
    return image, [problem.kind for problem in found]


@pytest.mark.parametrize(
    "data",
    [
        *(_photo(*FILE, orientation) for orientation in (0, 1, 9)),
        _of_type(2, 2, b"6"),  # a text
        _of_type(1, 1, b"\6"),  # a byte
        _of_type(12, 1, b"\0\0\0\0"),  # a fraction, of which a half is missing
        _of_type(3, 2**30, b"\6\0"),  # more numbers than the file has bytes
    ],
)
def test_an_image_that_no_viewer_turns_is_taken_without_a_word(data):
    for size in (None, FILE):
        for rule in ("auto", "file", "upright"):
            image, kinds = _read(data, size, rule)
            assert image.encoded == data and image.size == FILE and not kinds


# Of a file of 4 x 6: the stated size, the largest y and x of its boxes → whether it is turned, and whether in doubt.
EVIDENCE = {
    "the size is upright": (UPRIGHT, None, True, False),
    "the size is the file's": (FILE, (4, 4), False, True),
    "no size, and a box fits both": (None, (4, 4), True, True),
    "no size and no box": (None, None, True, True),
    "no size, and a box is beyond the file": (None, (6, 4), True, False),
    "no size, and a box is beyond the picture upright": (None, (4, 6), False, False),
    "no size, and a box is beyond both": (None, (9, 9), True, True),
    "no size, and a box is beyond by its slack": (None, (5, 4), True, True),
    "the size is the file's, and a box is beyond it": (FILE, (6, 4), True, True),
    "the size is the file's, and a box is beyond both": (FILE, (9, 9), False, True),
}


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("case", EVIDENCE)
def test_the_stated_size_and_then_the_boxes_tell_which_image_was_annotated(case, orientation):
    size, reach, turned, doubtful = EVIDENCE[case]
    data = _photo(*FILE, orientation)
    image, kinds = _read(data, size, reach=reach)
    assert kinds == [DOUBT if doubtful else "image converted"]
    assert (image.size, image.format) == (UPRIGHT if turned else FILE, "png")
    assert image_numpy.opened(image.encoded).orientation == 1


@pytest.mark.parametrize("size", [None, SQUARE])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_nothing_tells_how_a_square_was_annotated(orientation, size):
    image, kinds = _read(_photo(*SQUARE, orientation), size, reach=(5, 5))
    assert kinds == [DOUBT] and image.size == SQUARE


@pytest.mark.parametrize("orientation", range(2, 5))
def test_nothing_tells_whether_a_mirrored_image_was_annotated_so(orientation):
    assert _read(_photo(*FILE, orientation), FILE)[1] == [DOUBT]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_rule_is_followed_without_a_word_of_doubt(orientation):
    data, upright = _photo(*FILE, orientation), UPRIGHT if orientation >= 5 else FILE
    for size in {None, FILE, upright}:
        image, kinds = _read(data, size, "upright")
        assert (image.size, kinds) == (upright, ["image converted"])
    image, kinds = _read(data, FILE, "file", reach=(6, 4))
    assert (image.size, image.format, kinds) == (FILE, "png", ["image converted"])
    np.testing.assert_array_equal(image_numpy.decode(image.encoded, upright=True), image_numpy.decode(data))
    if upright != FILE:
        assert _read(data, upright, "file") == (None, ["size in the JSON disagrees with the file"])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("rule", ["auto", "file", "upright"])
def test_an_image_of_neither_size_is_left_out_however_it_is_turned(orientation, rule):
    for sides in (FILE, SQUARE):
        assert _read(_photo(*sides, orientation), (4, 7), rule) == (None, ["size in the JSON disagrees with the file"])


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_image_of_which_a_part_is_damaged_is_stored_anew_and_reported(orientation):
    """Training could not decode it; Pillow overlooks the wrong checksum before IEND."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    data = bytearray(photos.file(pixels, "PNG", orientation))
    data[data.rindex(b"IEND") - 5] ^= 1
    image, kinds = _read(bytes(data), rule="upright")
    assert kinds == ["image is damaged"] + ["image converted"] * (orientation > 1) and image.format == "png"
    np.testing.assert_array_equal(tensorflow_image.decode(image.encoded), image_numpy.decode(bytes(data), upright=True))


def test_postscript_is_no_image_whatever_its_name():
    """Pillow hands it to Ghostscript, a program that a stranger's file must not reach."""
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "EPS")
    assert _read(file.getvalue()) == (None, ["image of a format that is not read"])
    with pytest.raises(image_numpy.Unreadable, match="it is PostScript, which is not read"):  # It is not even tried.
        image_numpy.header(file.getvalue())
