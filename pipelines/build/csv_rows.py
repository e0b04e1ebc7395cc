"""The rows of the text of a CSV file, whichever of , ; and tabs is between its cells."""

import csv
import io

from .problems import Refused

csv.field_size_limit(2**31 - 1)  # characters of a cell, which may hold a polygon; Python's own limit is 131,072
Row = tuple[int, list[str]]  # number of its (last) line, and its cells


def of_text(text: str, path: str) -> list[Row]:
    """The rows of a text that are not empty; Refused, with the path of the file, where it is broken."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter(text))
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Refused(f"{path}, line {reader.line_num}: {error}; correct it") from error


def delimiter(text: str) -> str:
    """What is between the cells of the first line."""
    return max(",;\t", key=text.partition("\n")[0].count)
