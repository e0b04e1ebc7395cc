"""Small image files that take minutes to decode, because of how many parts they have; told before anything is decoded.

A JPEG may have any number of scans, each of which goes through all of its pixels. Pillow makes an object of each chunk
of a PNG and each strip of a TIFF that is not compressed, and copies what it has for each part of a JPEG's EXIF data and
each comment in a netpbm file of text.
"""

import struct
from collections.abc import Iterator

from tfrecog.data import image_parts, orientation

MOST_SCANS = 100  # Those that cameras and programs write have about ten.
MOST_SEGMENTS, MOST_OF_EXIF = 2_000, 64
MOST_CHUNKS = 50_000
MOST_BLOCKS = 1_000_000  # XMP data in a GIF are read as blocks, one for about 80 of their bytes.
MOST_STRIPS = 200_000
MOST_COMMENTS = 1_000
_SMALL = 1024  # bytes of a PNG's chunk of pixels; the others are no more than the file is long
_COMPRESSION, _STRIPS, _TILES = 259, 273, 324  # tags of TIFF
_QUICK = (5, 8, 32773, 32946)  # compressions of TIFF of which a strip takes 0.1 µs: LZW, Deflate, PackBits
_SHORT = 3  # type of a value of TIFF


def too_many(data: bytes) -> str:
    """What a file has too many of to be decoded in a reasonable time, such as "more than 100 scans"; else nothing."""
    if data.startswith(image_parts.JPEG):
        return _too_many_of_jpeg(data)
    kinds = (
        (image_parts.PNG, _chunks, MOST_CHUNKS, "chunks"),
        (b"GIF8", _blocks, MOST_BLOCKS, "blocks before its first picture"),
        ((b"P1", b"P2", b"P3"), lambda data: range(data.count(b"#")), MOST_COMMENTS, "comments"),
        ((b"II", b"MM"), lambda data: range(_strips(data)), MOST_STRIPS, "strips or tiles"),
    )
    for begins, parts, most, name in kinds:
        if data.startswith(begins) and any(number >= most for number, _ in enumerate(parts(data))):
            return f"more than {most:,} {name}"
    return ""


def _too_many_of_jpeg(data: bytes) -> str:
    scans, exif = 0, 0
    for segments, (marker, start) in enumerate(image_parts.of_jpeg(data), 1):
        scans += marker == image_parts.SCAN
        exif += data.startswith(orientation.PREFIX, start)
        counts = (
            (scans, MOST_SCANS, "scans"),
            (exif, MOST_OF_EXIF, "segments of EXIF data"),
            (segments, MOST_SEGMENTS, "segments"),
        )
        for number, most, name in counts:
            if number > most:
                return f"more than {most:,} {name}"
    return ""


def _chunks(data: bytes) -> Iterator[bytes]:
    """Names of the chunks of a PNG, but for large ones of pixels."""
    return (name for name, start, end in image_parts.of_png(data) if name != b"IDAT" or end - start < _SMALL)


def _blocks(data: bytes) -> Iterator[int]:
    """Places of the blocks of a GIF's extensions up to the first picture."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    while data[at : at + 1] == b"!":
        at += 2
        while at < len(data) and data[at]:
            yield at
            at += data[at] + 1
        at += 1


def _strips(data: bytes) -> int:
    """Strips or tiles that the first directory of a TIFF says it has; 0 if it cannot be read, or they are quick."""
    order = "<" if data[:2] == b"II" else ">"
    large = 43 in data[2:4]
    try:
        (at,) = struct.unpack_from(order + ("Q" if large else "I"), data, 8 if large else 4)
        (count,) = struct.unpack_from(order + ("Q" if large else "H"), data, at)
        entry, first = (order + "HHQH6x", at + 8) if large else (order + "HHIH2x", at + 2)
        size = struct.calcsize(entry)
        entries = [struct.unpack_from(entry, data, first + size * i) for i in range(min(count, MOST_STRIPS))]
    except struct.error:
        return 0
    compressions = [kind == _SHORT and value in _QUICK for tag, kind, _, value in entries if tag == _COMPRESSION]
    if compressions and all(compressions):
        return 0
    return max((number for tag, _, number, _ in entries if tag in (_STRIPS, _TILES)), default=0)
