"""The loop of all evaluations: a model sees each image of a split, and what is measured becomes numbers and files."""

import contextlib
import csv
import functools
import gc
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

import tfrecog
from tfrecog.cli import files
from tfrecog.cli.progress import Bar
from tfrecog.config import Experiment
from tfrecog.data.split import Split
from tfrecog.inference import image_files, predictor
from tfrecog.reports import report
from tfrecog.runtime import cluster

METRICS = "metrics.json"


class Numbers(dict[str, float]):
    """What an evaluation found, by name."""

    report: Path | None = None  # its page; None where none was written


@contextlib.contextmanager
def _old_objects_kept():
    """A context in which garbage is looked for among new objects alone.

    Those of TensorFlow are a million, and looking at them takes a tenth of a second each time.
    """
    before = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not before:
            gc.unfreeze()


@_old_objects_kept()
def evaluate(
    measure: Callable,
    task,
    model,
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    out: str | Path | None = None,
    *,
    step: int | None = None,
    checkpoint: str | Path | None = None,
    show: bool = False,
    last: bool = True,
) -> Numbers:
    """The numbers of a model on the split `data.eval_split`, by name.

    Of several workers each looks at its part of every batch, and the chief measures what all of them have seen.

    Args:
        measure: what the task measures, made of the experiment, the split, the strategy and the workers. It has
            `batches` and whether they are of `any_size`; `rows(out)`, a context that gives the function that writes
            what `add(outputs, facts)` returns of each image; `summarize()`, the numbers, a table with a row for each
            class and what else metrics.json is to have; `draw(out, numbers)`, which writes the other files;
            `text(numbers, table)`, for people; and if it has more to report than its numbers, `report(written)`, the
            sections of the page of what metrics.json has.
        out: folder for metrics.json (the numbers, the table, what was evaluated, and the model's time per image, null
            where too few batches were there to tell), report.html and the files of the task. None: nothing is written.
        step, checkpoint: of the weights, for metrics.json.
        show: print the numbers and a line for each class.
        last: no other evaluation of the training follows. If files are written, the report is one of them, and a
            `measured.diagnose()`, if there is such, is called before the images.
    """
    split, workers = Split.open(experiment.data.records, experiment.data.eval_split), cluster.workers()
    split.check_not_empty()
    measured, seconds = measure(experiment, split, strategy, workers), []
    options = {"any_size": measured.any_size, "seconds": seconds, "workers": workers}
    seen = predictor.predict_batches(task, model, strategy, measured.batches, **options)
    if not workers.is_chief:
        for _ in seen:
            pass
        return Numbers(workers.meet().values[0])
    if out and last and hasattr(measured, "diagnose"):
        measured.diagnose()
    words = {"desc": f"evaluate {split.name}", "starting": "compiling"}
    with measured.rows(out) as write, Bar(total=len(split), **words) as progress:
        for outputs, facts in seen:
            write(measured.add(outputs, facts))
            progress.update()
    found, table, more = measured.summarize()
    numbers = Numbers(found)
    median = statistics.median(seconds) if seconds else None
    if out:
        written = {"metrics": numbers, "classes": table, "records": str(experiment.data.records), "split": split.name}
        written |= {"step": step, "checkpoint": str(checkpoint) if checkpoint else None}
        written |= {"test_seconds_per_image": median, **more, "tfrecog": tfrecog.version()}
        numbers.report = _write(Path(out), measured, written, (task, model, experiment, split) if last else None)
    if show:
        print(measured.text(numbers, table))
        print(_speed(median, strategy))
    workers.meet({name: float(value) for name, value in numbers.items()})
    return numbers


def _write(out: Path, measured, written: dict, on: tuple | None) -> Path | None:
    """Writes what metrics.json has and the files of the task, and a report `on` its task, model, experiment and split.

    Returns the path of the report, None where there is none.
    """
    report.remove(out)  # That of an evaluation before this one: other numbers are there from now on.
    with files.write(out / METRICS) as file:
        json.dump(written, file, indent=1)
        file.write("\n")
    measured.draw(out, written["metrics"])
    if on is None:
        return None
    sections = functools.partial(measured.report, written) if hasattr(measured, "report") else None
    return report.write(out, *on, written, sections)


@contextlib.contextmanager
def csv_rows(out: str | Path | None, name: str, head: list[str]):
    """A function that appends a row to a CSV file in the folder `out`, which appears when it is whole."""
    if not out:
        yield lambda row: None
        return
    with files.write(Path(out) / name) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        yield writer.writerow


def save_sheet(picture: np.ndarray | None, path: Path) -> None:
    """Writes a picture uint8 [H, W, 3]; where there is none, that of an evaluation before this one goes."""
    if picture is None:
        path.unlink(missing_ok=True)
    else:
        image_files.save(picture, path)


def _speed(seconds: float | None, strategy) -> str:
    """A line for people: how long the model takes for an image."""
    if seconds is None:
        return "Test time: too few batches to tell (the first of each shape builds its graph)"
    devices = f" on {strategy.num_replicas_in_sync} devices" if strategy.num_replicas_in_sync > 1 else ""
    return f"Test time: {seconds:.3g} s an image{devices}, the model alone (median over the batches)"
