"""metrics.csv of a run: a row for each step that is shown or evaluated, for spreadsheets and data frames."""

import csv
import io
import itertools
import logging
from pathlib import Path

from tfrecog.cli import files
from tfrecog.reports import curves

FILE = curves.TABLE


class Table:
    """The rows of a run, each written when it is known; a run that goes on drops those of steps that come again."""

    def __init__(self, workdir: str | Path, start: int):
        """Reads the rows up to the step `start`, that of the checkpoint from which the run goes on.

        A file without a column `step`, as of a spreadsheet that has saved it with semicolons, is kept by another name;
        so is one that is no table.
        """
        self._path, self._columns = Path(workdir) / FILE, ["step"]
        self._rows: dict[int, dict[str, str]] = {}
        self._behind = False  # whether the file lacks rows, as on a full disk
        if self._path.is_file():
            columns, rows = curves.read(self._path)
            if "step" not in columns:
                self._set_aside()
                return
            self._columns, self._rows = columns, {step: row for step, row in rows.items() if step <= start}
            self._rewrite()

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Adds numbers by column to the row of a step; where that fails, a warning says so, and the next one tries."""
        seen = step in self._rows
        row = self._rows.setdefault(step, {"step": str(step)})
        row.update({name: f"{value:.7g}" for name, value in numbers.items()})
        columns = [*self._columns, *(name for name in row if name not in self._columns)]
        whole = seen or self._behind or columns != self._columns
        self._columns = columns
        try:
            if whole:
                self._rewrite()
            else:
                with open(self._path, "a", newline="", encoding="utf-8") as file:
                    file.write(self._text([row]))
            self._behind = False
        except OSError as error:
            if not self._behind:
                _warn(f"{self._path}: step {step} is not written yet, the training goes on: {error}")
            self._behind = True

    def _set_aside(self):
        names = (self._path.with_name(f"metrics-{number}.csv") for number in itertools.count(1))
        kept = next(path for path in names if not path.exists())
        self._path.rename(kept)
        _warn(f"{self._path} has no column step: it is {kept} now, and a new one is begun")

    def _rewrite(self):
        with files.write(self._path) as file:
            file.write(self._text([dict(zip(self._columns, self._columns, strict=True)), *self._rows.values()]))

    def _text(self, rows):
        text = io.StringIO()
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n", extrasaction="ignore").writerows(rows)
        return text.getvalue()


def _warn(text):
    logging.getLogger("tfrecog").warning(text)
