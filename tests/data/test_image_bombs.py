"""Files that would be decoded for minutes are told by their parts, and others are read."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

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


def png(chunks):
    data = file("PNG")
    return data[:33] + struct.pack(">I4sI", 0, b"teSt", zlib.crc32(b"teSt")) * chunks + data[33:]


def gif(blocks):
    data = file("GIF")
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:start] + b"!\xfe" + b"\1a" * blocks + b"\0" + data[start:]


def tiff(strips, order="<", tag=273):
    """One of which only the first directory is there."""
    directory = struct.pack(f"{order}IHHHII", 8, 1, tag, 4, strips, 0)
    return (b"II*\0" if order == "<" else b"MM\0*") + directory


@pytest.mark.parametrize(
    "data, many",
    [
        (jpeg(scans=image_bombs.MOST_SCANS), "100 scans"),
        (jpeg(scans=image_bombs.MOST_SCANS, between=b"\xff\xfe\0\4\xff\xd9"), "100 scans"),
        (jpeg(scans=image_bombs.MOST_SCANS, between=b"\xff\xff\x01"), "100 scans"),
        (jpeg(segments=image_bombs.MOST_PARTS), "50,000 segments"),
        (png(image_bombs.MOST_PARTS), "50,000 chunks"),
        (gif(image_bombs.MOST_BLOCKS + 1), "5,000 blocks"),
        (tiff(image_bombs.MOST_PARTS + 1), "50,000 strips or tiles"),
        (tiff(image_bombs.MOST_PARTS + 1, ">", 324), "50,000 strips or tiles"),
    ],
    ids=["scans", "ends in comments", "markers alone", "segments", "chunks", "blocks", "strips", "tiles"],
)
def test_a_file_of_too_many_parts_is_refused_by_its_header(data, many):
    with pytest.raises(image_numpy.Unreadable, match=f"more than {many}"):
        image_numpy.header(data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(scans=20),
        jpeg(segments=500),
        file("JPEG") + b"\0\2" + b"\xff\xda\0\2" * 1000,  # a film behind the picture, as phones write it
        png(1000),
        gif(1000),
        file("TIFF"),
        file("TIFF", compression="tiff_lzw"),
    ],
    ids=["scans", "segments", "behind", "chunks", "blocks", "tiff", "lzw"],
)
def test_a_file_of_some_more_parts_than_usual_is_read(data):
    assert image_numpy.decode(data).shape == (16, 16, 3)


def test_a_file_that_is_cut_off_anywhere_is_told_as_damaged():
    for data in (jpeg(scans=2), png(3), gif(3), file("TIFF"), b"MM\0+\0\x08\0\0"):
        for end in range(0, len(data), 7):
            assert image_bombs.too_many(data[:end]) == ""
