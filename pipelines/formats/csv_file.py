"""The rows of a CSV file of annotations."""

from ..build import csv_rows
from ..build.csv_rows import Row
from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import small_file, tar_files

_MOST_BYTES = 2**31


def rows(path: str, flag: str = "--annotations") -> list[Row]:
    """The rows of a file that are not empty, the first of which may name the columns; Refused where there is none."""
    found: list[Problem] = []
    try:
        text = small_file.text_of(tar_files.on_disk(path, path), Reporter(found, path), _MOST_BYTES)
    except LeftOut:
        raise Refused(f"{path}: {found[-1].what}; give another file with {flag}") from None
    listed = csv_rows.of_text(text, path)
    if not listed:
        raise Refused(f"{path} is empty; give another file with {flag}")
    return listed


def first_cells(head: bytes) -> list[str]:
    """The cells of the first line in the first bytes of a file."""
    line = head.decode("utf-8-sig", "replace").partition("\n")[0]
    return [cell.strip().strip('"') for cell in line.split(csv_rows.delimiter(line))]
