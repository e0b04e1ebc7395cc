"""Outputs of a model for each image of a data set, on all replicas."""

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfrecog.cli import out_of_memory
from tfrecog.data import read
from tfrecog.runtime import distribution

FACTS = ("image_id", "record", "original_size", "scale")


class Clock:
    """How long a model takes for an image: the prediction alone, without reading, resizing or what comes after it."""

    def __init__(self):
        self._seconds: list[float] = []

    def add(self, seconds: float, images: int) -> None:
        """A call that took so long for a batch of so many images, fillers too: they take as long."""
        self._seconds.append(seconds / images)

    @property
    def seconds_per_image(self) -> float | None:
        """Median over the batches; None if there was none."""
        return statistics.median(self._seconds) if self._seconds else None


def predict_batches(
    task, model, strategy, batches: Iterable[dict], *, any_size: bool = False, clock: Clock | None = None
) -> Iterator[tuple[dict, dict]]:
    """Yields what `task.predict` says of each valid image of `batches` [B, …], and the facts that a batch has of it.

    B is a multiple of the replicas. With `any_size` one graph serves canvases of all sizes, where there are too many
    for one each. A clock is told of each batch whose graph was there already.
    """
    predict = _predictor(task, model, strategy, any_size)
    for batch in read.in_words(batches):
        shared = distribution.per_replica(strategy, batch)
        traces, start = predict.experimental_get_tracing_count(), time.perf_counter()
        try:
            outputs = {
                name: np.concatenate([part.numpy() for part in strategy.experimental_local_results(value)])
                for name, value in predict(shared).items()
            }
        except tf.errors.ResourceExhaustedError as error:
            raise out_of_memory.in_use(error, batch, strategy.num_replicas_in_sync) from error
        if clock and predict.experimental_get_tracing_count() == traces:  # The first of a shape builds its graph.
            clock.add(time.perf_counter() - start, len(batch["valid"]))
        facts = {name: batch[name].numpy() for name in FACTS if name in batch}
        for i in np.flatnonzero(batch["valid"].numpy()):
            yield {name: value[i] for name, value in outputs.items()}, {name: value[i] for name, value in facts.items()}


@functools.lru_cache(maxsize=2)  # So that the evaluations during a training share one trace for each shape.
def _predictor(task, model, strategy, any_size):
    # Height and width become unknown when a second one comes: after three traces there are no more.
    @tf.function(autograph=False, reduce_retracing=any_size)
    def predict(batch):
        return strategy.run(functools.partial(task.predict, model), (batch,))

    return predict


def of_one(task, model, any_size: bool = False) -> Callable[[dict], dict[str, np.ndarray]]:
    """A function of a batch of one image: what `task.predict` says of it; `any_size` is that of `predict_batches`."""
    predict = tf.function(lambda batch: task.predict(model, batch), autograph=False, reduce_retracing=any_size)
    return lambda batch: {name: value[0].numpy() for name, value in predict(batch).items()}


def batch_size(wanted: int, strategy: tf.distribute.Strategy) -> int:
    """The smallest batch size of at least this many images that divides among the replicas; fillers are not valid."""
    return -(-wanted // strategy.num_replicas_in_sync) * strategy.num_replicas_in_sync


def progress(total: int, what: str) -> tqdm:
    """Images done, images a second, and how long it will take; a line a minute where nobody watches."""
    return tqdm(total=total, desc=what, unit=" images", mininterval=0.5 if sys.stderr.isatty() else 60)
