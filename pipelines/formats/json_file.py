"""What a JSON file of a tool holds."""

from typing import Any

from tfrecog.cli import json_values

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import small_file, tar_files
from .tar_files import File

MOST_BYTES = 2**29


def of_file(file: File, report: Reporter, most: int = MOST_BYTES) -> Any:
    """What a file holds, with a byte order mark or without; LeftOut says where it is broken."""
    data = small_file.bytes_of(file, report, most)
    try:
        return json_values.parse(data, Any)
    except json_values.NotValid as error:
        report.leave_out("broken JSON", str(error), "It is left out: correct it, or export it again.")


def of_path(path: str) -> Any:
    """What the file of --annotations holds; Refused says what is wrong."""
    found: list[Problem] = []
    try:
        return of_file(tar_files.on_disk(path, path), Reporter(found, path))
    except LeftOut:
        raise Refused(f"{path}: {found[-1].what}; give another file with --annotations, or correct it") from None
