"""Whether a JPEG or PNG is whole: Pillow decodes some that are not, which TensorFlow refuses."""

import re
import zlib

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_SCAN, _END, _FILL = b"\xff\xda", b"\xff\xd9", b"\xff\xff"  # markers of JPEG
_OF_SCAN = re.compile(rb"[^\xff]*(?:\xff+[\x00\xd0-\xd7][^\xff]*)*")  # to a marker that is no restart


def are_whole(data: bytes) -> bool:
    """Whether the parts of a JPEG or PNG with its pixels follow each other to its end; True of other files."""
    if data.startswith(_PNG):
        return _png_is_whole(data)
    return _jpeg_is_whole(data) if data.startswith(_JPEG) else True


def _png_is_whole(data: bytes) -> bool:
    """Whether chunks reach to IEND, and the checksums of the critical ones are right (PNG specification, 5.3, 5.4)."""
    at, name = len(_PNG), b""
    while name != b"IEND":
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return False
        if name[:1].isupper() and zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        at = end + 4
    return True


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether segments and scans follow each other to the marker of the end (ITU-T T.81, B.1)."""
    at = len(_JPEG)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != _END:
        if data[at : at + 2] == _FILL:
            at += 1
            continue
        is_scan = data[at : at + 2] == _SCAN
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if is_scan:
            at = next(_OF_SCAN.finditer(data, at)).end()
    return data[at : at + 2] == _END
