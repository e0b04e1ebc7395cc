"""What the train loop needs of a data set."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tfrecog.cli.errors import UserError
from tfrecog.cli.spelling import counted
from tfrecog.config import Experiment
from tfrecog.data import read
from tfrecog.data.info import DatasetInfo
from tfrecog.data.split import Split
from tfrecog.runtime import cluster


@dataclass(frozen=True)
class Data:
    """Batches as a function of the step, so that a stopped run continues with the same batches."""

    steps_per_epoch: int
    # (first step, total steps) → the global batch of each step; of several workers, this one's part of it.
    batches: Callable[[int, int], Iterable[dict]]
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


def open_splits(experiment: Experiment, dataset: DatasetInfo) -> list[Split]:
    """The split to train on, and that to evaluate on if the run is evaluated; UserError or OSError if one is not there.

    What is wrong with the second shows then, and not after an epoch.
    """
    data, names = experiment.data, [experiment.data.train_split]
    if experiment.train.evaluate_epochs > 0:
        if data.eval_split not in dataset.splits:
            raise UserError(
                f"{data.records} has no split {data.eval_split!r} to evaluate on; it has {sorted(dataset.splits)}: "
                "choose one with --data.eval_split, build the records anew with --shares=train:0.8,val:0.2, or train "
                "without evaluation: --train.evaluate_epochs=0"
            )
        names.append(data.eval_split)
    return [Split.open(data.records, name) for name in names]


def of_records(
    experiment: Experiment,
    dataset: DatasetInfo,
    make: Callable[..., Iterable[dict]],
    images: int,
    steps_per_epoch: int = 0,
    what: str = "",
) -> Data:
    """Data whose batches are those of `make` (`places`, `start_step`, `steps`), with errors in words.

    Without `steps_per_epoch`, the batches of an epoch are filled with the images in any order. The description, for
    people, is the records, their classes, and the size of the splits that are used; `what` is what they have beside
    images.
    """
    data = experiment.data
    places = cluster.workers().places(data.batch_size, experiment.train.accumulate_steps)
    purposes = [("train", data.train_split)]
    purposes += [("evaluate", data.eval_split)] * (experiment.train.evaluate_epochs > 0)
    parts = [f"{data.records}, {counted(dataset.num_classes, 'class', 'classes')}"]
    for purpose, name in purposes:
        split = dataset.splits[name]
        also = f", {counted(getattr(split, what + 's'), what)}" if what else ""
        parts.append(f"{purpose} on {name}: {counted(split.images, 'image')}{also}")
    return Data(
        steps_per_epoch=steps_per_epoch or -(-images // data.batch_size),
        batches=lambda start, total: read.in_words(make(places=places, start_step=start, steps=total)),
        description="; ".join(parts),
        images=images,
    )
