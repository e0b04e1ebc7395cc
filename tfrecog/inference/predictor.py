"""Outputs of a model for each image of a data set, on all replicas."""

import functools
import io
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfrecog.cli import out_of_memory, signals
from tfrecog.data import read
from tfrecog.runtime import distribution
from tfrecog.runtime.cluster import ALONE, Workers

_OUTPUT = "output "  # before the name of an output, on the way to the chief
FACTS = ("image_id", "record", "original_size", "scale")


def predict_batches(
    task, model, strategy, batches: Iterable[dict], *, any_size=False, seconds: list[float] | None = None, workers=ALONE
) -> Iterator[tuple[dict, dict]]:
    """Yields what `task.predict` says of each valid image of `batches` [B, …], and the facts that a batch has of it.

    B is a multiple of the replicas. With `any_size` one graph serves canvases of all sizes, where there are too many
    for one each. `seconds` gets those that the model took for an image of each batch whose graph was there already:
    the prediction alone, without reading, resizing or what comes after it. Fillers take as long as images.

    Of several `workers`, each of which has its part of every batch, the chief gets the images of all, in the order of
    the whole batches, and the others get none.
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
        # The first of a shape builds its graph.
        if seconds is not None and predict.experimental_get_tracing_count() == traces:
            seconds.append((time.perf_counter() - start) / len(batch["valid"]))
        facts = {name: batch[name].numpy() for name in FACTS if name in batch}
        valid = batch["valid"].numpy()
        own = ({name: value[valid] for name, value in part.items()} for part in (outputs, facts))
        for some, known in _of_all(workers, *own):
            for i in range(len(next(iter(some.values())))):
                yield {name: value[i] for name, value in some.items()}, {k: value[i] for k, value in known.items()}


def _of_all(workers: Workers, outputs: dict, facts: dict) -> Iterator[tuple[dict, dict]]:
    """Outputs and facts [n, ...] of each worker's part of a batch, on the chief; elsewhere none."""
    if workers.count == 1:
        yield outputs, facts
        return
    file = io.BytesIO()
    np.savez(file, **{f"{_OUTPUT}{name}": value for name, value in outputs.items()}, **facts)
    meeting = workers.meet(payload=file.getvalue(), signal=workers.came())
    if meeting.signal:
        raise signals.Stopped(meeting.signal)
    for payload in meeting.payloads:
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            outputs = {name.removeprefix(_OUTPUT): arrays[name] for name in arrays if name.startswith(_OUTPUT)}
            yield outputs, {name: arrays[name] for name in arrays if not name.startswith(_OUTPUT)}


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

    def call(batch):
        try:
            return {name: value[0].numpy() for name, value in predict(batch).items()}
        except tf.errors.ResourceExhaustedError as error:
            raise out_of_memory.in_use(error, batch, 1) from error

    return call


def batch_size(wanted: int, strategy: tf.distribute.Strategy) -> int:
    """The smallest batch size of at least this many images that divides among the replicas; fillers are not valid."""
    return -(-wanted // strategy.num_replicas_in_sync) * strategy.num_replicas_in_sync
