"""The rows of a CSV file, whichever of , ; and tabs is between its cells."""

import csv
import io

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import small_file, tar_files

_MOST_BYTES = 2**31
Row = tuple[int, list[str]]  # number of its (last) line, and its cells


def rows(path: str, flag: str = "--annotations") -> list[Row]:
    """The rows of a file that are not empty, the first of which may name the columns; Refused where there is none."""
    found: list[Problem] = []
    try:
        text = small_file.text_of(tar_files.on_disk(path, path), Reporter(found, path), _MOST_BYTES)
    except LeftOut:
        raise Refused(f"{path}: {found[-1].what}; give another file with {flag}") from None
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
    try:
        listed = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Refused(f"{path}, line {reader.line_num}: {error}; correct it") from error
    if not listed:
        raise Refused(f"{path} is empty; give another file with {flag}")
    return listed


def first_cells(head: bytes) -> list[str]:
    """The cells of the first line in the first bytes of a file."""
    line = head.decode("utf-8-sig", "replace").partition("\n")[0]
    return [cell.strip().strip('"') for cell in line.split(_delimiter(line))]


def _delimiter(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)
