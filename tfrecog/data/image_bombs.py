"""Small image files that take minutes to decode, because of how many parts they have; told before anything is decoded.

A JPEG may have any number of scans, each of which goes through all of its pixels; readers of PNG, GIF and TIFF make an
object of each chunk, block or strip.
"""

import re
import struct
from collections.abc import Iterator

MOST_SCANS = 100  # Those that cameras and programs write have about ten.
MOST_PARTS = 50_000
MOST_BLOCKS = 5_000  # Of a comment in a GIF each is added to a copy of those before.
# What begins a segment, or ends the file. After 0xff, 0 is a byte of the picture; 1 and 0xd0 to 0xd8 have no segment.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_STRIPS, _TILES = 273, 324  # tags of TIFF


def too_many(data: bytes) -> str:
    """What a file has too many of to be decoded in a reasonable time, such as "more than 100 scans"; else nothing."""
    if data.startswith(b"\xff\xd8"):
        scans = 0
        for number, marker in enumerate(_jpeg(data), 1):
            scans += marker == 0xDA
            if scans > MOST_SCANS or number > MOST_PARTS:
                return f"more than {MOST_SCANS} scans" if scans > MOST_SCANS else f"more than {MOST_PARTS:,} segments"
        return ""
    kinds = ((b"\x89PNG", _png, MOST_PARTS, "chunks"), (b"GIF8", _gif, MOST_BLOCKS, "blocks before its first picture"))
    for magic, parts, most, name in kinds:
        if data.startswith(magic) and any(number >= most for number, _ in enumerate(parts(data))):
            return f"more than {most:,} {name}"
    if data[:2] in (b"II", b"MM") and _strips(data) > MOST_PARTS:
        return f"more than {MOST_PARTS:,} strips or tiles"
    return ""


def _jpeg(data: bytes) -> Iterator[int]:
    """Markers up to the end of the picture, or up to the first scan where there cannot be too many."""
    at, few = 2, data.count(b"\xff\xda") <= MOST_SCANS
    while (found := _MARKER.search(data, at)) and found[1] != b"\xd9":
        yield found[1][0]
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        if few and found[1] == b"\xda":
            return


def _png(data: bytes) -> Iterator[None]:
    at = 8
    while at + 8 <= len(data):
        yield
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _gif(data: bytes) -> Iterator[None]:
    """Blocks of extensions up to the first picture."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    while data[at : at + 1] == b"!":
        at += 2
        while at < len(data) and data[at]:
            yield
            at += data[at] + 1
        at += 1


def _strips(data: bytes) -> int:
    """Strips or tiles that the first directory says the file has; 0 if it cannot be read."""
    order = "<" if data[:2] == b"II" else ">"
    large = 43 in data[2:4]
    try:
        (at,) = struct.unpack_from(order + ("Q" if large else "I"), data, 8 if large else 4)
        (count,) = struct.unpack_from(order + ("Q" if large else "H"), data, at)
        entry, first = (order + "HHQ8x", at + 8) if large else (order + "HHI4x", at + 2)
        size = struct.calcsize(entry)
        entries = (struct.unpack_from(entry, data, first + size * i) for i in range(min(count, MOST_PARTS)))
        return max((number for tag, _, number in entries if tag in (_STRIPS, _TILES)), default=0)
    except struct.error:
        return 0
