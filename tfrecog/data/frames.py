"""TFRecord files: rows of frames of a length (8 bytes, little-endian), its checksum (4), a record, its checksum (4)."""

import io
import struct
import zlib

import google_crc32c

from tfrecog.cli import urls
from tfrecog.cli.errors import Status, UserError

HEADER = 12  # bytes of a frame before the record
FOOTER = 4
_MOST_BYTES = 2**31  # of a record: protobuf has no larger messages
_PIECE = 2**16  # bytes of a compressed file that are read at once


class CorruptRecord(UserError):
    """A record that cannot be read: the message names shard, record, byte and remedy."""

    status = Status.FAILED


def pack(record):
    """The frame of a record."""
    length = struct.pack("<Q", len(record))
    header = length + struct.pack("<I", _masked_crc(length))
    return b"".join((header, record, struct.pack("<I", _masked_crc(record))))


def unpack(frame):
    """The record in the bytes of a frame; None if they are not whole."""
    header, record, footer = frame[:HEADER], frame[HEADER:-FOOTER], frame[-FOOTER:]
    whole = len(frame) >= HEADER + FOOTER and _length(header) == len(record)
    return record if whole and _masked_crc(record) == struct.unpack("<I", footer)[0] else None


def read(path):
    """Yields offset and bytes of each record of a file; CorruptRecord names the byte where it is damaged."""
    with urls.open_to_read(str(path)) as file:
        yield from _records(file, path, urls.size(str(path)))


def read_compressed(path):
    """The same of a file that may be compressed with gzip or zlib; the offsets are those in what it is inflated to."""
    if not compressed(path):
        yield from read(path)
        return
    with open(path, "rb") as file:
        try:
            yield from _records(io.BufferedReader(_Inflated(file), _PIECE), path, None)
        except (zlib.error, EOFError) as error:
            raise CorruptRecord(
                f"{path} is compressed, and damaged or cut short ({error}). Download or copy it again."
            ) from error


def begins(path):
    """Whether a file begins with a frame."""
    with open(path, "rb") as file:
        return _length(file.read(HEADER)) is not None


def compressed(path):
    """Whether a file that does not begin with a frame begins as those of gzip or zlib do."""
    with open(path, "rb") as file:
        header = file.read(HEADER)
    # A frame may begin with the same bytes, and then its length has the checksum.
    begins = header[:2] in (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
    return begins and _length(header) is None


def _records(file, path, size):
    """Yields offset and bytes of each record of an open file; `size` (bytes) is None where it is not known."""
    offset = 0
    while header := file.read(HEADER):
        length = _length(header)
        most = _MOST_BYTES if size is None else size - offset - HEADER - FOOTER
        record = None if length is None or length > most else unpack(header + file.read(length + FOOTER))
        if record is None:
            raise CorruptRecord(
                f"{path} is damaged or cut short at byte {offset}. Delete it and run its pipeline again."
            )
        yield offset, record
        offset += HEADER + length + FOOTER


class _Inflated(io.RawIOBase):
    """What a file is inflated to, piece by piece; of gzip it may be several in a row."""

    def __init__(self, file):
        self._file, self._inflater = file, zlib.decompressobj(wbits=47)  # 32 + 15: of gzip or zlib, as its header says
        self._begun = False

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            if self._inflater.eof:
                rest, self._begun, self._inflater = self._inflater.unused_data, False, zlib.decompressobj(wbits=47)
            else:
                rest = self._inflater.unconsumed_tail
            if not (piece := rest or self._file.read(_PIECE)):
                if self._begun:
                    raise EOFError("its end is missing")
                return 0
            self._begun = True
            if data := self._inflater.decompress(piece, len(buffer)):
                buffer[: len(data)] = data
                return len(data)


def _length(header):
    """The length that the beginning of a frame says; None if its checksum does not fit."""
    if len(header) < HEADER:
        return None
    length, crc = struct.unpack("<QI", header)
    return length if crc == _masked_crc(header[:8]) else None


def _masked_crc(data):
    """Checksum of a TFRecord frame: crc32c, rotated and shifted as the format asks."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
