"""report.html of an evaluation: the head, what the task has to say, and what is the same for every task."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tfrecog.cli import files
from tfrecog.config import Experiment
from tfrecog.data.split import Split
from tfrecog.reports import card, choices, curves, page
from tfrecog.reports.blocks import Number, Section, Tiles

FILE = "report.html"


def of(folder: str | Path) -> Path | None:
    """The report in a folder, None if there is none."""
    path = Path(folder) / FILE
    return path if path.is_file() else None


def remove(folder: str | Path) -> None:
    """Removes the report in a folder, if there is one."""
    with contextlib.suppress(OSError):
        (Path(folder) / FILE).unlink()


def write(
    out: Path,
    task,
    model,
    experiment: Experiment,
    split: Split,
    written: dict,
    sections: Callable[[], Sequence[Section]] | None,
) -> Path | None:
    """Writes report.html to a folder, whole or not at all, and returns its path.

    What fails, such as a full disk or a picture, is told to the log, for the numbers are there without the page; then
    None is returned.

    Args:
        task, model: whose name and number of parameters are in the head.
        written: what metrics.json has.
        sections: returns those of the task; None: the numbers are all that is known.
    """
    path = out / FILE
    try:
        name = getattr(task, "name", "")
        title = f"{name or card.task_words(experiment)} on {split.name}"
        first, *others = sections() if sections else [_numbers(written["metrics"])]
        parts = [first, card.use(experiment, split, written["classes"]), *others, _curves(experiment, written)]
        parts += [card.data(split), *filter(None, [choices.section(experiment.workdir)]), card.settings(experiment)]
        text = page.render(title, card.head(name, model, experiment, split, written), parts)
        with files.write(path) as file:
            file.write(text)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logging.getLogger("tfrecog").warning("%s is not written, the numbers are: %s", path, reason)
        return None
    return path


def _numbers(numbers):
    """Those of a task that has no more to say."""
    some = [(name.replace("_", " "), Number(value, form="plain"), "") for name, value in numbers.items()]
    return Section("results", "Results", [Tiles(some)])


def _curves(experiment, written):
    """Of the training; with the numbers of this evaluation, if it is of the split that the training is measured on."""
    own = card.run_data(experiment)
    same = own and card.is_same(own, own.eval_split, experiment.data)
    return curves.section(experiment.workdir, written["step"] if same else None, written["metrics"])
