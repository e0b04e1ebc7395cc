"""What the train loop needs of a data set."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


@dataclass(frozen=True)
class Data:
    """Batches as a function of the step, so that a stopped run continues with the same batches."""

    steps_per_epoch: int
    batches: Callable[[int, int], Iterable[dict]]  # (first step, total steps) → one global batch for each step
    description: str = ""
    images: int = 0  # in an epoch, each counted once


def in_calls(batches: Iterable[dict], done: int, most: int, ends: Callable[[int], bool]) -> Iterator[list[dict]]:
    """Yields consecutive batches of one shape, at most this many; none comes after a step that `ends` them.

    `batches` are of the steps from `done` + 1 on. Where one cannot be made, those before it come first, and the error
    then.
    """
    some, batches = [], iter(batches)
    while True:
        try:
            batch = next(batches, None)
        except Exception:
            if some:
                yield some
            raise
        if some and (batch is None or _shapes(batch) != _shapes(some[0])):
            yield some
            some = []
        if batch is None:
            return
        some.append(batch)
        done += 1
        if len(some) == most or ends(done):
            yield some
            some = []


def _shapes(batch):
    return {name: value.shape for name, value in batch.items()}


def check_eval_split(experiment: Experiment, dataset: DatasetInfo) -> None:
    """ValueError if a run is to be evaluated on a split that there is not."""
    data = experiment.data
    if experiment.train.evaluate_epochs > 0 and data.eval_split not in dataset.splits:
        raise UserError(
            f"{data.records} has no split {data.eval_split!r} to evaluate on; it has {sorted(dataset.splits)}: "
            "choose one with --data.eval_split, or train without evaluation: --train.evaluate_epochs=0"
        )


def describe(experiment: Experiment, dataset: DatasetInfo, what: str = "") -> str:
    """For people: the records, their classes, and the size of the splits that are used; `what` beside images counts."""
    data = experiment.data
    parts = [(data.train_split, "train")]
    parts += [(data.eval_split, "evaluate")] * (experiment.train.evaluate_epochs > 0)
    counts = [f"{purpose} on {name}: {dataset.splits[name].images:,} images" for name, purpose in parts]
    if what:
        counts = [
            f"{count}, {getattr(dataset.splits[name], what):,} {what}"
            for count, (name, _) in zip(counts, parts, strict=True)
        ]
    return f"{data.records}, {dataset.num_classes} classes; {'; '.join(counts)}"
