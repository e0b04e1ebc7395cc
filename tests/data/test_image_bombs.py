"""Files that would be decoded for minutes are told by their parts, and others are read."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from tests import photos
from tfrecog.data import image_bombs, image_numpy

PIXELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


def file(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(scans=0, segments=0, between=b""):
    """A progressive JPEG with its last scan repeated, and segments of no content before the first."""
    data = file("JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:2] + b"\xff\xfe\0\2" * segments + data[2:-2] + (between + data[last:-2]) * scans + data[-2:]


WHOLE = file("JPEG")


def png(chunks, name=b"teSt"):
    data = file("PNG")
    return data[:33] + photos.chunk(name, b"") * chunks + data[33:]


def gif(blocks):
    data = file("GIF")
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:start] + b"!\xfe" + b"\1a" * blocks + b"\0" + data[start:]


def tiff(strips, order="<", tag=273, compression=1):
    """One of which only the first directory is there."""
    directory = struct.pack(f"{order}IH", 8, 2)
    directory += struct.pack(f"{order}HHIHHHHIII", 259, 3, 1, compression, 0, tag, 4, strips, 0, 0)
    return (b"II*\0" if order == "<" else b"MM\0*") + directory


EXIF = b"\xff\xe1\0\x0aExif\0\0II"


@pytest.mark.parametrize(
    "data, many",
    [
        (jpeg(scans=100), "100 scans"),
        (jpeg(scans=100, between=b"\xff\xfe\0\4\xff\xd9"), "100 scans"),
        (jpeg(scans=100, between=b"\xff\xff\x01"), "100 scans"),
        (jpeg(segments=2000), "2,000 segments"),
        (WHOLE[:2] + EXIF * 65 + WHOLE[2:], "64 segments of EXIF data"),
        (png(50_000), "50,000 chunks"),
        (png(50_000, b"IDAT"), "50,000 chunks"),
        (gif(1_000_001), "1,000,000 blocks"),
        (b"P2 2 1 9 " + b"#\n" * 1001 + b"1 2 ", "1,000 comments"),
        (tiff(200_001), "200,000 strips or tiles"),
        (tiff(200_001, ">", 324), "200,000 strips or tiles"),
        (tiff(200_001, compression=7), "200,000 strips or tiles"),
    ],
    ids=[
        "scans", "ends in comments", "markers alone", "segments", "exif", "chunks", "chunks of pixels", "blocks",
        "comments", "strips", "tiles", "strips of JPEG",
    ],
)  # fmt: skip
def test_a_file_of_too_many_parts_is_refused_by_its_header(data, many):
    with pytest.raises(image_numpy.Unreadable, match=f"more than {many}") as caught:
        image_numpy.header(data)
    assert caught.value.kind == "too many parts"


@pytest.mark.parametrize(
    "data",
    [
        jpeg(scans=20),
        jpeg(segments=500),
        WHOLE + b"\0\2" + b"\xff\xda\0\2" * 1000,  # a film behind the picture, as phones write it
        png(1000),
        file("PNG") + bytes(12 * 50_000 + 100),
        gif(20_000),  # as XMP data of 1.6 MB are read
        file("TIFF"),
        file("TIFF", compression="tiff_lzw"),
        b"P3 16 16 255 # of a scanner\n" + b"1 " * (16 * 16 * 3),
    ],
    ids=["scans", "segments", "behind", "chunks", "behind PNG", "blocks", "tiff", "lzw", "comment"],
)
def test_a_file_of_some_more_parts_than_usual_is_read(data):
    assert image_numpy.decode(data).shape == (16, 16, 3)


def test_a_tiff_that_is_compressed_may_have_a_strip_a_row():
    for order in "<>":
        assert image_bombs.too_many(tiff(300_000, order, compression=5)) == ""


def test_large_chunks_of_pixels_are_as_many_as_a_large_png_has():
    data = file("PNG")
    assert image_bombs.too_many(data[:33] + (struct.pack(">I4s", 1024, b"IDAT") + bytes(1028)) * 50_001) == ""


def test_a_file_that_is_cut_off_anywhere_is_told_as_damaged():
    for data in (jpeg(scans=2), png(3), gif(3), file("TIFF"), b"MM\0+\0\x08\0\0"):
        for end in range(0, len(data), 7):
            assert image_bombs.too_many(data[:end]) == ""


@pytest.mark.parametrize("end", [b"", b"\0"], ids=["to the end", "and a byte of the picture"])
def test_a_long_run_of_fill_bytes_is_walked_once(end):
    """A walk that began anew at each of them would take an hour."""
    assert image_bombs.too_many(b"\xff\xd8" + b"\xff" * 10**6 + end) == ""
