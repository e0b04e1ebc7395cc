"""The text of an annotation file: from strangers, so no pipe that never ends, and not more bytes than any has."""

import os

from ..build.problems import Reporter
from .tar_files import File

MOST_BYTES = 2**23
_AGAIN = "It is left out: correct or copy the file again, and run the same command."


def bytes_of(file: File, report: Reporter, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file; LeftOut where there are none, or too many."""
    if file.offset < 0 and not os.path.isfile(file.path):
        report.leave_out("file cannot be read", f"{file.path} is not a file, or a link to none", _AGAIN)
    if file.size > most:
        what = f"{file.path} has {file.size:,} bytes, more than the {most:,} of any annotation file"
        report.leave_out("file is too large", what, _AGAIN)
    try:
        return file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        report.leave_out("file cannot be read", f"{file.path}: {getattr(error, 'strerror', None) or error}", _AGAIN)


def text_of(file: File, report: Reporter, most: int = MOST_BYTES) -> str:
    """The text of a file, with or without a byte order mark; as `bytes_of`."""
    data = bytes_of(file, report, most)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        report.leave_out(
            "file is not text", f"{file.path} is not text in UTF-8: {error.reason} at byte {error.start}", _AGAIN
        )
