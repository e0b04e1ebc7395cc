"""Text files that people give: lists, tables, JSON."""

from pathlib import Path

from ..build.problems import Refused


def read(path: str, give: str, flag: str = "") -> str:
    """The text of a file, without the byte order mark that some editors begin it with.

    Raises:
        Refused: it cannot be read; the message says what to `give`, and `flag` where the path is from.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{flag}{path} cannot be read ({error}); give {give}") from error
