"""metrics.csv of a run: a row for each step that is shown or evaluated, for spreadsheets and data frames."""

import csv
import io
from pathlib import Path

from tfrecog.cli import files

FILE = "metrics.csv"


class Table:
    """The rows of a run, each written when it is known; a run that goes on drops those of steps that come again."""

    def __init__(self, workdir: str | Path, start: int):
        """Reads the rows up to the step `start`, that of the checkpoint from which the run goes on."""
        self._path, self._columns = Path(workdir) / FILE, ["step"]
        self._rows: dict[int, dict[str, str]] = {}
        if self._path.is_file():
            with open(self._path, newline="", encoding="utf-8", errors="replace") as file:
                table = csv.DictReader(file)
                # A row that a killed process has not written to its end lacks columns.
                rows = [row for row in table if None not in row.values() and row.get("step", "").isdecimal()]
            self._rows = {int(row["step"]): row for row in rows if int(row["step"]) <= start}
            self._columns = list(table.fieldnames or self._columns)
            self._rewrite()

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Adds numbers by column to the row of a step."""
        seen = step in self._rows
        row = self._rows.setdefault(step, {"step": str(step)})
        row.update({name: f"{value:.7g}" for name, value in numbers.items()})
        columns = [*self._columns, *(name for name in row if name not in self._columns)]
        if seen or columns != self._columns:
            self._columns = columns
            self._rewrite()
            return
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            file.write(self._text([row]))

    def _rewrite(self):
        with files.write(self._path) as file:
            file.write(self._text([dict(zip(self._columns, self._columns, strict=True)), *self._rows.values()]))

    def _text(self, rows):
        text = io.StringIO()
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n", extrasaction="ignore").writerows(rows)
        return text.getvalue()
