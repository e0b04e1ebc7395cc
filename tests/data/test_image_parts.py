"""Files of images that are not whole: TensorFlow refuses no other that Pillow decodes."""

import random
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests.data.made import encoded
from tests.fuzz import mutations
from tfrecog.data import image, image_numpy, image_parts

PIXELS = np.random.default_rng(0).integers(0, 256, [24, 40, 3], np.uint8)
JPEG, PNG = encoded(PIXELS, "JPEG"), encoded(PIXELS)
FILES = {
    "gray.jpg": encoded(PIXELS[..., 0], "JPEG"),
    "color.jpg": JPEG,
    "restarts.jpg": encoded(PIXELS, "JPEG", restart_marker_blocks=1),
    "progressive.jpg": encoded(PIXELS, "JPEG", progressive=True),
    "gray.png": encoded(PIXELS[..., 0]),
    "color.png": PNG,
}


def is_decoded(data):
    try:
        image.decode(data)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def chunk(name, content, checksum=None):
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")


def changed(data, at, value):
    return data[:at] + value + data[at + len(value) :]


END = PNG.rindex(b"IEND") - 4
SCAN = JPEG.index(b"\xff\xda")
# Files that Pillow decodes, and whether all is there that pixels need.
CASES = {
    "a JPEG": (JPEG, True),
    "a JPEG with bytes after its end": (JPEG + b"\0more", True),
    "a JPEG with a gap before a marker": (JPEG[:SCAN] + b"\xff\xff" + JPEG[SCAN:], True),
    "a JPEG with a byte between its segments": (JPEG[:SCAN] + b"\0" + JPEG[SCAN:], True),
    "a JPEG with a restart between its segments": (JPEG[:SCAN] + b"\xff\xd0" + JPEG[SCAN:], True),
    "a JPEG without the marker of the end": (JPEG[:-2] + bytes(99), False),
    "a JPEG with another marker in its scan": (changed(JPEG, len(JPEG) - 40, b"\xff\xe1"), False),
    "a PNG": (PNG, True),
    "a PNG with bytes after its end": (PNG + b"\0more", True),
    "a PNG with a wrong checksum of a text": (PNG[:END] + chunk(b"tEXt", b"a\0b", 0) + PNG[END:], True),
    "a PNG with a wrong checksum of pixels": (changed(PNG, END - 4, b"\0\0\0\0"), False),
    "another file": (encoded(PIXELS, "BMP"), True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_whole_if_tensorflow_decodes_it(name):
    data, whole = CASES[name]
    assert image_numpy.decode(data).shape == PIXELS.shape
    assert (image_parts.are_whole(data), is_decoded(data)) == (whole, whole)


@pytest.mark.parametrize("name", FILES)
def test_of_damaged_files_tensorflow_decodes_those_that_pillow_decodes_and_that_are_whole(name):
    rng, read = random.Random(name), 0
    for _ in range(150):
        data = mutations.any_bytes(FILES[name], rng)
        try:
            stored = image_numpy.opened(data)
        except image_numpy.Unreadable:
            continue
        if stored.picture.mode in ("L", "RGB") and image_parts.are_whole(data):
            assert is_decoded(data)
            read += 1
    assert read


@pytest.mark.parametrize("name", FILES)
def test_without_colors_the_same_files_are_refused_with_the_same_words(name):
    def said(data, **options):
        try:
            stored = image_numpy.opened(data, **options)
        except image_numpy.Unreadable as error:
            return str(error)
        return stored.kind, stored.orientation, stored.picture.size, stored.values() is None

    rng = random.Random(name)
    files = [FILES[name], *(mutations.any_bytes(FILES[name], rng) for _ in range(150))]
    answers = [said(data) for data in files]
    assert [said(data, colors=False) for data in files] == answers
    assert {type(answer) for answer in answers} == {str, tuple}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_off_is_not_whole(name):
    assert image_parts.are_whole(FILES[name])
    assert not any(image_parts.are_whole(FILES[name][:size]) for size in range(8, len(FILES[name])) if size % 7 == 0)
