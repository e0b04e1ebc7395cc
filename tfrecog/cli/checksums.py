"""Files and folders that carry their SHA-256, by which damage shows. It proves no origin: it can be changed as well.

A zip file, which an NPZ is and which ends a TFLite file, has it as its comment; an ONNX file, which is a message of
protobuf, as its last field; a folder has a list of its files that
`sha256sum -c` reads.
"""

import hashlib
import io
import re
import struct
import zipfile
from pathlib import Path
from typing import IO

from tfrecog.cli import files
from tfrecog.cli.errors import UserError

SUMS = "SHA256SUMS"
_DIGITS = 64  # of a SHA-256
_END = b"PK\5\6"  # begins the end of a zip file
# Begins the last field of an ONNX file, an entry `sha256` of its metadata_props (onnx.proto), before the digits.
_PROPERTY = b"\x72\x4a\x0a\x06sha256\x12\x40"
_PIECE = 2**20


def seal(content: bytes) -> bytes:
    """The bytes of a file that ends with a zip, with their SHA-256 as the zip's comment."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"0" * _DIGITS
    return _with_digest(file.getvalue()[:-_DIGITS])


def seal_onnx(content: bytes) -> bytes:
    """The bytes of an ONNX file, with their SHA-256 as the entry `sha256` of its metadata_props."""
    return _with_digest(content + _PROPERTY)


def _with_digest(content):
    return content + hashlib.sha256(content).hexdigest().encode()


def intact(path: str | Path) -> bool | None:
    """Whether a file is as `seal` or `seal_onnx` made it; None where it was not."""
    with open(path, "rb") as file:
        return intact_content(file, Path(path).stat().st_size)


def intact_content(file: IO[bytes], size: int) -> bool | None:
    """The same of so many bytes of an open file."""
    digest, left, last = hashlib.sha256(), size - _DIGITS, b""
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
        last = (last + piece)[-22:]
    stated = file.read(_DIGITS)
    # One flipped bit leaves one of the two signs.
    sealed = (last.startswith(_END) and last[-2:] == struct.pack("<H", _DIGITS)) or last.endswith(_PROPERTY)
    if not sealed and not re.fullmatch(rb"[0-9a-f]{64}", stated):
        return None
    return stated == digest.hexdigest().encode()


def write(folder: Path, place: str) -> None:
    """Writes the SHA-256 of all files of a folder to a list in it, of the name SUMS in the folder `place`."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    paths = sorted(path for path in paths if path != f"{place}/{SUMS}")
    with files.write(folder / place / SUMS) as file:
        file.writelines(f"{_digest(folder / path)}  {path}\n" for path in paths)


def check(folder: Path, place: str, remedy: str) -> None:
    """UserError names a file of a folder that is missing or not as `write` listed it; without a list all is well."""
    path = folder / place / SUMS
    if not path.is_file():
        return
    for line in files.read_text(path, f"the {SUMS} of the export").splitlines():
        stated, _, name = line.partition("  ")
        file = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not file.is_file():
            raise UserError(f"{path} lists {name!r}, which is not there; {remedy}")
        if _digest(file) != stated:
            raise UserError(f"{file} is damaged, or was changed: its SHA-256 is not that of {path}; {remedy}")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
