"""The process that takes some steps of a training, to see how long they take and how much memory; see `probe`.

It reads requests, a line of JSON each with the flags of an experiment, and answers with a line each. It ends with its
input, or as the system ends it where memory is short: whoever asks is not harmed.
"""

import contextlib
import itertools
import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrecog.cli import errors, flags, out_of_memory
from tfrecog.config import Experiment
from tfrecog.data.split import Split
from tfrecog.evaluations import loop as evaluations
from tfrecog.inference import predictor
from tfrecog.runtime import devices, distribution
from tfrecog.training.start import prepare, starting_point
from tfrecog.training.step import TrainState, TrainStep

WARM, TIMED = 3, 10  # steps that are taken before, and those that are timed
EVALUATED = 3  # batches
_RATE = 1e-12  # that changes nothing
JITTER = 0.08  # share of its size by which a copy of a box is moved


def measure(experiment: Experiment, evaluates: bool, most: float) -> dict[str, Any]:
    """Seconds of a step, of evaluation and start, and bytes at their peak; see `probe.Measured`.

    Args:
        evaluates: whether evaluation is measured, too.
        most: seconds that are spent on steps, about; at least one is timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        values = {"workdir": folder, "train.steps_per_execution": 1, "train.profile_steps": ()}
        experiment, task, data, claim = prepare(flags.replace(experiment, values))
        with claim:
            began = time.perf_counter()
            strategy = distribution.strategy(experiment.train.replicas)
            with strategy.scope():
                model = task.build()
                state = TrainState(model, experiment.optim, experiment.train)
            starting_point(experiment, model, state)
            built = time.perf_counter() - began
            if experiment.task == "detection":
                task.sample_rois = with_copies(task.sample_rois, experiment.detector.box)
            take = TrainStep(task, model, state, lambda _: tf.constant(_RATE), strategy, experiment.train)
            steps, compiled = _timed(take, data, most)
            found = {"step": steps, "start": built + compiled, "steps_per_epoch": data.steps_per_epoch}
            if evaluates:
                found |= _evaluated(task, model, experiment, strategy)
            return found | {"memory": peak()}


def _timed(take: TrainStep, data: Any, most: float) -> tuple[float, float]:
    """Seconds of a step, the mean but for the slowest and the quickest, and those of compiling."""
    times, compiled, last = [], 0.0, time.perf_counter()
    end = last + most
    for step, batch in enumerate(data.batches(0, 4 * (WARM + TIMED))):
        _, traced = take([batch], step)
        now = time.perf_counter()
        if traced:
            compiled, end = compiled + now - last, end + now - last
        else:
            times.append(now - last)
        last = now
        if len(times) == WARM + TIMED or (times and now > end):
            break
    timed = sorted(times[min(WARM, len(times) - 1) :])
    return statistics.fmean(timed[1:-1] if len(timed) > 2 else timed), compiled


def _evaluated(task: Any, model: Any, experiment: Experiment, strategy: Any) -> dict[str, float]:
    """Seconds of an evaluation with its report: of a picture, of all but the pictures, and more for the first."""
    on = task, model, experiment, strategy
    some = _some_of(task.evaluation.Measured)
    seconds = []
    for _ in range(2):  # The second time the graphs are there.
        began = time.perf_counter()
        evaluations.evaluate(some, *on, experiment.workdir, step=0)
        task.draw(*on, experiment.train.summary_images)
        seconds.append(time.perf_counter() - began)
    first, again = seconds
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    measured = some(experiment, split, strategy)
    began, count = time.perf_counter(), 0
    seen = predictor.predict_batches(task, model, strategy, measured.batches, any_size=measured.any_size)
    for outputs, facts in seen:
        measured.add(outputs, facts)
        count += 1
    picture = (time.perf_counter() - began) / max(1, count)
    return {
        "evaluation_start": max(first - again, 0.0),
        "evaluation_fixed": max(again - count * picture, 0.0),
        "evaluation_picture": picture,
    }


def _some_of(measure: Any) -> Any:
    """What a task measures, of some batches alone."""

    def made(*arguments):
        measured = measure(*arguments)
        measured.batches = list(itertools.islice(measured.batches, EVALUATED))
        return measured

    return made


def with_copies(sample_rois: Callable, box: Any) -> Callable:
    """A detector's `sample_rois` that finds as many positives as it may take: copies of the truth, moved a little.

    An untrained RPN proposes none, and the branches that see positives alone would cost nothing yet.
    """
    count = math.ceil(box.samples * box.positive_fraction)

    def sample(rois, valid, truth, seed):
        there = tf.maximum(tf.reduce_sum(tf.cast(truth.labels > 0, tf.int32), axis=1), 1)
        own = tf.gather(truth.boxes, tf.range(count)[None] % there[:, None], batch_dims=1)
        size = own[..., 2:] - own[..., :2]
        angle = tf.range(count, dtype=tf.float32)[None, :, None]
        shift = JITTER * size * tf.concat([tf.sin(angle), tf.cos(angle)], axis=-1)
        copies = own + tf.concat([shift, shift], axis=-1)
        more = tf.ones(tf.shape(copies)[:2], tf.bool)
        return sample_rois(tf.concat([copies, rois], 1), tf.concat([more, valid], 1), truth, seed)

    return sample


def peak() -> int:
    """Bytes that this process, or the first GPU that it uses, has held at once."""
    if tf.config.get_visible_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    experiment = flags.change(Experiment(), request["flags"])
    try:
        return measure(experiment, request["evaluates"], request["most"])
    except (out_of_memory.OutOfMemory, tf.errors.ResourceExhaustedError, MemoryError):
        return {"short_of_memory": True}
    except Exception as error:
        if not (explained := errors.explain(error)):
            raise
        return {"error": explained[0]}


def main() -> None:
    """Answers requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What is printed for people is none of the answers.
    devices.choose(sys.argv[1] if len(sys.argv) > 1 else "")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        answer = _answer(json.loads(line))
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
