"""The parts of JPEG and PNG files, and whether all are there: Pillow decodes some that TensorFlow refuses."""

import itertools
import re
import zlib
from collections.abc import Iterator

from tfrecog.data import orientation

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
EXIF, SCAN, END = 0xE1, 0xDA, 0xD9  # markers of JPEG
# What begins a segment, or ends the file. After 0xff, 0 is a byte of the picture; 1 and 0xd0 to 0xd8 have no segment.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")


def of_jpeg(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker of each segment up to END, and where its content begins (ITU-T T.81, B.1).

    Bytes between segments are skipped, as libjpeg skips them.
    """
    at, marker = len(JPEG), 0
    while marker != END and (found := _MARKER.search(data, at)):
        marker, start = found[1][0], found.end()
        yield marker, start + 2
        at = start + int.from_bytes(data[start : start + 2], "big")


def of_png(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name of each chunk up to IEND, and where its content begins and ends, which may be behind the data's end."""
    at, name = len(PNG), b""
    while name != b"IEND" and at + 8 <= len(data):
        name, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        yield name, start, end
        at = end + 4


def exif(data: bytes) -> bytes:
    """The EXIF data of a JPEG or PNG: of several the first that are not empty, as in a SavedModel's graph."""
    if data.startswith(PNG):
        parts = (data[start:end] for name, start, end in of_png(data) if name == b"eXIf")
    else:
        segments = itertools.takewhile(lambda segment: segment[0] != SCAN, of_jpeg(data))
        starts = [start for marker, start in segments if marker == EXIF]
        parts = (data[start : start - 2 + int.from_bytes(data[start - 2 : start], "big")] for start in starts)
        parts = (part.removeprefix(orientation.PREFIX) for part in parts if part.startswith(orientation.PREFIX))
    return next(filter(None, parts), b"")


def are_whole(data: bytes) -> bool:
    """Whether the parts of a JPEG or PNG with its pixels follow each other to its end; True of other files."""
    if data.startswith(PNG):
        return _png_is_whole(data)
    return any(marker == END for marker, _ in of_jpeg(data)) if data.startswith(JPEG) else True


def _png_is_whole(data: bytes) -> bool:
    """Whether chunks reach to IEND, and the checksums of the critical ones are right (PNG specification, 5.3, 5.4)."""
    name = b""
    for name, start, end in of_png(data):
        if end + 4 > len(data):
            return False
        if name[:1].isupper() and zlib.crc32(data[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
    return name == b"IEND"
