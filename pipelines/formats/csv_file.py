"""The rows of a CSV file of annotations."""

from collections.abc import Sequence

from ..build import csv_rows
from ..build.csv_rows import Row
from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import small_file, tar_files

SKIP = "It is left out: correct the row, or remove it."
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


def check(row: Sequence[str], header: Sequence[str], name: str, report: Reporter) -> None:
    """LeftOut, and why, if a row has another length than the header, or no name of its image."""
    if len(row) != len(header):
        report.leave_out("row of another length", f"it has {len(row)} columns, not {len(header)}", SKIP)
    if not name:
        report.leave_out("row without a file name", "its cell of the image's name is empty", SKIP)


def first_cells(head: bytes) -> list[str]:
    """The cells of the first line in the first bytes of a file."""
    line = head.decode("utf-8-sig", "replace").partition("\n")[0]
    return [cell.strip().strip('"') for cell in line.split(csv_rows.delimiter(line))]
