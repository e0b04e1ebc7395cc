"""A graph turns a picture as tfrecog's reader of files does, and as Pillow does, whatever its EXIF data are."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from export.served_graph import upright
from tests import photos
from tfrecog.data import image_numpy, orientation
from tfrecog.data.reading import AS_SHOWN

KINDS = ("JPEG", "PNG", "WEBP")
EXIF, EIGHT = photos.exif(6), photos.exif(8)
HEADER = 33  # bytes of a PNG before its other parts
BYTES = [tf.TensorSpec([], tf.string)]


@pytest.fixture(scope="module")
def of():
    """A function of a file's bytes: its orientation, by a graph."""
    call = tf.function(upright.of, input_signature=BYTES, autograph=False)
    return lambda data: int(call(tf.constant(data)))


@pytest.fixture(scope="module")
def decode():
    """A function of a file's bytes: its picture, by a graph."""
    call = tf.function(lambda data: upright.decode(data, AS_SHOWN), input_signature=BYTES, autograph=False)
    return lambda data: call(tf.constant(data)).numpy()


def _file(kind, exif, pixels=None):
    """The bytes of a file with EXIF data as they are; Pillow, which writes it, would change the first of them."""
    content = io.BytesIO()
    pixels = photos.upright() if pixels is None else pixels
    if kind == "JPEG" and not exif.startswith(orientation.PREFIX):
        exif = orientation.PREFIX + exif
    place = b"" if kind == "PNG" else exif if kind == "JPEG" else b"?" * len(exif)
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, kind, exif=place, **photos.KINDS[kind])
    data = content.getvalue()
    if kind == "PNG":
        return data[:HEADER] + photos.chunk(b"eXIf", exif) * bool(exif) + data[HEADER:]
    return data.replace(place, exif) if exif else data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(10))
def test_a_picture_is_turned_as_pillow_turns_it(kind, turn, of, decode):
    known = turn if 1 <= turn <= 8 else 1
    for order in "<>":
        data = _file(kind, photos.exif(turn, order), photos.stored(photos.upright(), known))
        assert of(data) == known
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
        np.testing.assert_array_equal(decode(data), expected)


def _entries(*entries, start=8):
    """EXIF data whose first directory, at byte `start`, has entries of tag, type, number of values, and value."""
    packed = b"".join(struct.pack("<HHI4s", *one) for one in entries)
    return b"II*\0" + struct.pack("<I", start) + bytes(start - 8) + struct.pack("<H", len(entries)) + packed


TAG, SIX = orientation.TAG, struct.pack("<HH", 6, 0)
# EXIF data → the orientation that they state.
STATED = {
    "none": (b"", 1),
    "no directory": (EXIF[:8], 1),
    "an order that there is not": (b"IM" + EXIF[2:], 1),
    "8 bytes an offset (BigTIFF)": (b"II+\0\x08\0\0\0" + struct.pack("<QQHHQHHHH", 16, 1, TAG, 3, 1, 6, 0, 0, 0), 1),
    "a directory behind the end": (b"II*\0\xff\xff\xff\xff" + EXIF[8:], 1),
    "a directory that is the header": (b"II*\0\0\0\0\0" + EXIF[8:], 1),
    "more entries than bytes": (EXIF[:8] + b"\xff\xff" + EXIF[10:], 6),
    "cut in the entry": (EXIF[:18], 1),
    "other tags first": (_entries((271, 2, 3, b"ab\0\0"), (TAG, 3, 1, SIX)), 6),
    "a directory that begins later": (_entries((TAG, 3, 1, SIX), start=400), 6),
    "a long number": (_entries((TAG, 4, 1, SIX)), 1),
    "a byte": (_entries((TAG, 1, 1, SIX)), 1),
    "a text": (_entries((TAG, 2, 2, b"6\0\0\0")), 1),
    "two numbers": (_entries((TAG, 3, 2, SIX)), 1),
    "none of its numbers": (_entries((TAG, 3, 0, SIX)), 1),
    "nine": (_entries((TAG, 3, 1, struct.pack("<HH", 9, 0))), 1),
    "two entries, the second of a thumbnail": (_entries((TAG, 3, 1, SIX), (TAG, 3, 1, b"\x08\0\0\0")), 6),
    "only in a second directory, of the thumbnail": (_entries() + struct.pack("<IHHHI4s", 14, 1, TAG, 3, 1, SIX), 1),
    "the prefix of JPEG's": (orientation.PREFIX + EXIF, 6),
}


@pytest.mark.filterwarnings("ignore")  # of Pillow, which reads more of EXIF data than this
@pytest.mark.parametrize("name", STATED)
def test_what_is_no_orientation_turns_nothing(name, of):
    exif, expected = STATED[name]
    assert orientation.of(exif) == expected
    for kind in KINDS:
        data = _file(kind, exif)
        assert of(data) == expected, kind
        assert image_numpy.opened(data).orientation == expected, kind


@pytest.mark.filterwarnings("ignore")  # of Pillow, which reads more of EXIF data than this
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_turned_by_the_graph_as_by_the_reader_of_files(kind, of):
    random, turned, read = np.random.default_rng(0), 0, 0
    whole = _entries((271, 2, 3, b"ab\0\0"), (TAG, 3, 1, SIX))
    for _ in range(150):
        exif = _damaged(whole, 0, len(whole), random)
        data = _file(kind, exif)
        if kind != "PNG":  # Of a PNG the sum of each part is checked.
            begins = data.index(exif)
            data = _damaged(data, begins - 10, begins, random)
        try:
            expected = image_numpy.opened(data).orientation
        except image_numpy.Unreadable:
            continue
        assert of(data) == expected, exif
        read, turned = read + 1, turned + (expected == 6)
    assert read > 50 and 10 < turned < read


def _damaged(data, start, end, random):
    """Some bytes from start to end are others, and often none."""
    data = bytearray(data)
    for at in random.integers(start, end, random.integers(0, 3)):
        data[at] = random.choice([0, 1, 2, 3, 6, 8, 255, random.integers(256)])
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\0\0" * 9, b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 4 + b"eXIf" + EXIF[:9], b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff",
        b"RIFF\0\0\0\0WEBP" + b"abcd\xff\xff\xff\xff" * 3,
    ],
)  # fmt: skip
def test_files_that_end_before_they_say_so_are_not_turned(data, of):
    assert of(data) == 1


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"\xff\xd8\xff", b"\0"),
        (b"\xff\xd8\xff", b"\xff\xe1\0\2"),
        (b"\x89PNG\r\n\x1a\n", b"\0\0\0\0abcd\0\0\0\0"),
        (b"RIFF\0\0\0\0WEBP", b"abcd\0\0\0\0"),
    ],
)
def test_no_file_makes_the_walk_long(start, part, of):
    """Of a file of a million parts only the first ones are looked at; this one states its orientation behind them."""
    end = {b"\0": b"\xff\xe1\0\x22Exif\0\0" + EXIF}.get(part, part[:0])
    assert of(start + part * 10**6 + end) == 1


def test_exif_data_behind_other_segments_and_behind_the_pixels_count(of):
    jpeg, png = _file("JPEG", EXIF), _file("PNG", EXIF)
    other = b"\xff\xe1\0\x07http:" + b"\xff\xe2\xff\xff" + bytes(65533) + b"\xff\xfe\0\3a"
    at = png.index(b"eXIf") - 4
    chunk = png[at : at + 12 + len(EXIF)]
    for data in (jpeg[:2] + other + jpeg[2:], png.replace(chunk, b"")[:-12] + chunk + png[-12:]):
        assert of(data) == 6
        assert image_numpy.opened(data).orientation == 6


def _segment(exif):
    return b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(exif)) + orientation.PREFIX + exif


TURNED, EMPTY = _file("JPEG", EXIF), _segment(b"")
PNG, WEBP = _file("PNG", b""), _file("WEBP", EXIF)
PIXELS_OF_WEBP = WEBP[30 : WEBP.index(b"EXIF")]
# Files with EXIF data of orientation 6 that count, or where no reader looks for them.
PLACES = {
    "a JPEG's segment behind an empty one": (TURNED[:2] + EMPTY + TURNED[2:], 6),
    "a JPEG's first of two segments": (TURNED[:2] + _segment(EIGHT) + TURNED[2:], 8),
    "a JPEG's first part of two": (TURNED[:2] + _segment(EXIF[:8]) + TURNED[2:], 1),
    "a PNG's part behind an empty one": (PNG[:HEADER] + photos.chunk(b"eXIf", b"") + _file("PNG", EXIF)[HEADER:], 6),
    "the first of two parts of a PNG": (_file("PNG", EXIF)[:-12] + photos.chunk(b"eXIf", EIGHT) + PNG[-12:], 6),
    "a PNG's end": (PNG + photos.chunk(b"eXIf", EXIF), 1),
    "a PNG's text": (PNG[:HEADER] + photos.chunk(b"tEXt", b"exif\0" + EXIF) + PNG[HEADER:], 1),
    "a PNG's packed text": (PNG[:HEADER] + photos.chunk(b"zTXt", b"exif\0\0" + zlib.compress(EXIF)) + PNG[HEADER:], 1),
    "a PNG's international text": (PNG[:HEADER] + photos.chunk(b"iTXt", b"exif\0\0\0\0\0six") + PNG[HEADER:], 1),
    "a WebP whose header has none": (WEBP[:20] + bytes([WEBP[20] & ~8]) + WEBP[21:], 1),
    "a WebP without such a header": (
        b"RIFF" + struct.pack("<I", len(PIXELS_OF_WEBP) + 4) + b"WEBP" + PIXELS_OF_WEBP + WEBP[WEBP.index(b"EXIF") :], 1
    ),
    "a WebP's end": (WEBP[:4] + struct.pack("<I", WEBP.index(b"EXIF") - 8) + WEBP[8:], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_exif_data_count_where_the_format_has_them(name, of):
    data, expected = PLACES[name]
    assert of(data) == image_numpy.opened(data).orientation == expected


def test_xmp_data_turn_nothing(of):
    """As in browsers: the EXIF data alone do."""
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    jpeg = _file("JPEG", b"")
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + jpeg[2:]
    assert of(data) == image_numpy.opened(data).orientation == 1
    content = io.BytesIO()
    Image.fromarray(photos.upright()).save(content, "TIFF", tiffinfo={700: b'<x tiff:Orientation="6"/>'})
    np.testing.assert_array_equal(image_numpy.decode(content.getvalue(), upright=True), photos.upright())
