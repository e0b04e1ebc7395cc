import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from pipelines.build.problems import LeftOut, Reporter
from pipelines.formats import image_file

ORIENTATION = 0x0112


def _photo(height, width, orientation):
    exif, file = Image.Exif(), io.BytesIO()
    if isinstance(orientation, str):  # A writer of EXIF data made it a text (type 2).
        entry = struct.pack("<HHI4s", ORIENTATION, 2, 2, orientation.encode())
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    else:
        exif[ORIENTATION] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    return file.getvalue()


def _read(data, size=None, **options):
    found = []
    try:
        image = image_file.of_bytes(data, "a.jpg", Reporter(found, "a.jpg", "7"), size, **options)
    except LeftOut:
        image = None
    return image, [problem.kind for problem in found]


@pytest.mark.parametrize(("orientation", "sides"), [*itertools.product([0, 1, 9, "6"], [(4, 6), (5, 5)])])
def test_an_image_that_no_viewer_turns_is_taken_without_a_word(orientation, sides):
    data = _photo(*sides, orientation)
    for size, objects in itertools.product([None, sides], [True, False]):
        image, kinds = _read(data, size, objects=objects)
        assert image.encoded == data and (image.height, image.width) == sides and not kinds


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_is_reported_wherever_nothing_says_whether_its_objects_are_of_the_turned_one(orientation):
    swaps = orientation >= 5  # by a quarter turn, so that a stated size tells
    for sides, size in itertools.product([(4, 6), (5, 5)], [False, True]):
        data = _photo(*sides, orientation)
        image, kinds = _read(data, sides if size else None)
        told = swaps and size and sides == (4, 6)
        assert image.encoded == data and kinds == ([] if told else ["image may be annotated turned"])
        assert _read(data, objects=False)[1] == ["image is turned"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_of_neither_size_is_left_out_however_it_is_turned(orientation):
    for sides in ((4, 6), (5, 5)):
        assert _read(_photo(*sides, orientation), (4, 7)) == (None, ["size in the JSON disagrees with the file"])


@pytest.mark.parametrize("orientation", range(5, 9))
def test_an_image_annotated_as_viewers_turn_it_is_stored_turned(orientation):
    image, kinds = _read(_photo(4, 6, orientation), (6, 4))
    assert (image.height, image.width, image.format, kinds) == (6, 4, "png", ["image converted"])
