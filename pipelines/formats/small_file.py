"""The text of an annotation file: from strangers, so no pipe that never ends, and not more bytes than any has."""

from ..build.problems import Reporter
from .tar_files import File, reason

MOST_BYTES = 2**23
_AGAIN = "It is left out: correct or copy the file again, and run the same command."


def bytes_of(file: File, report: Reporter, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file; LeftOut where there are none, or too many."""
    try:
        return file.read(most)
    except (OSError, ValueError) as error:
        report.leave_out("file cannot be read", f"{file.path}: {reason(error)}", _AGAIN)


def text_of(file: File, report: Reporter, most: int = MOST_BYTES) -> str:
    """The text of a file, with or without a byte order mark; as `bytes_of`."""
    data = bytes_of(file, report, most)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        report.leave_out(
            "file is not text", f"{file.path} is not text in UTF-8: {error.reason} at byte {error.start}", _AGAIN
        )
