"""What all readers of records have in common: one record, its picture, batches of them, and errors in words."""

import re
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from tfrecog.cli import urls
from tfrecog.cli.errors import Status, UserError
from tfrecog.data import image, order, records
from tfrecog.data.frames import CorruptRecord
from tfrecog.runtime import cores
from tfrecog.runtime.cluster import ALONE

PICTURE = ("encoded", "filename", "height", "width")  # what `picture_of` reads of a parsed record


class InputError(UserError):
    """A batch cannot be made; the message names the record and what to do."""

    status = Status.FAILED


class Interrupted(InputError):
    """A batch cannot be made now, as its records cannot be reached; see `urls.Unreachable`."""

    status = Status.CONTINUES


def in_words(batches: Iterable[dict]) -> Iterator[dict]:
    """The batches of a dataset; an error in one is an InputError with our own words, without TensorFlow's around."""
    try:
        yield from batches
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError, tf.errors.OutOfRangeError) as error:
        text = re.split(r"\nTraceback \(most recent call last\)|\n\s*\[\[", str(error.message))[0]
        text = re.sub(r"^\{\{function_node .*?\}\} ", "", text)
        if unreachable := re.search(r"\bUnreachable: (.*)", text, re.DOTALL):
            raise Interrupted(unreachable[1].strip()) from error
        ours = re.search(r"\b(?:ValueError|UserError|CorruptRecord): (.*)", text, re.DOTALL)
        ours = ours or re.search(r"assertion failed: \[(.*)\]", text, re.DOTALL)
        raise InputError((ours[1] if ours else text).strip()) from error


def recovering(make, step, stop, careful):
    """Yields the batches of the steps step..stop-1; one at which the dataset fails is made again, with care.

    Args:
        make: function of (step, stop) to their dataset.
        careful: set of steps, which `make` reads whenever it makes a batch. A step that fails is added. Where a careful
            step fails too, its error is raised.
    """
    while step < stop:
        try:
            for batch in make(step, stop):
                yield batch
                step += 1
            if step < stop:
                raise RuntimeError(f"the dataset ended at step {step} of {stop}")
        except tf.errors.InvalidArgumentError:
            if step in careful:
                raise
            careful.add(step)


def whole(batch_size, places=None):
    """The `places` [b] in a batch that are to be made; without such all of them."""
    return np.arange(batch_size) if places is None else places


def training_images(groups, batch_size, places, seed, steps, seeds_of):
    """Dataset of the row, canvas [2] and seed [2] of each image that is at `places` [b] in the batches of some steps.

    Args:
        groups: order.Groups of the rows to train on.
        steps: a range.
        seeds_of: function of the seed [2] of a step, and B, to the seeds [B, 2] of its images. They hang on the place
            in the batch, not on the record: one that fills up a batch is augmented differently from its first showing.
    """
    batch_of = order.shuffled(groups, batch_size, seed)

    def batch(step):
        rows, canvas = python(batch_of, [step], [tf.int64, tf.int32])
        seeds = seeds_of(image.fold(tf.stack([seed, 0]), tf.cast(step, tf.int32)), batch_size)
        rows = tf.gather(tf.ensure_shape(rows, [batch_size]), places)
        return rows, tf.broadcast_to(canvas, [len(places), 2]), tf.gather(seeds, places)

    return mapped(tf.data.Dataset.range(steps.start, steps.stop), batch).unbatch()


def in_turn(groups, batch_size, workers=ALONE):
    """Dataset of the row, canvas [2] and validity of each image of the groups; fillers of a batch are not valid.

    Of several workers, of the images in each batch that this one looks at; and how many those are.
    """
    rows, canvases, valid = order.in_turn(groups, batch_size)
    places = workers.places(batch_size)
    flat = rows[:, places].ravel(), np.repeat(canvases, len(places), axis=0), valid[:, places].ravel()
    return tf.data.Dataset.from_tensor_slices(flat), len(places)


def prepare(dataset, example, config, batch_size, of_batch=None):
    """Dataset of batches of what `example` makes of the elements of a dataset, on all cores, in order.

    `of_batch` changes a batch as a whole.
    """
    # Who waits for a distant disk computes nothing: more threads than cores have work.
    workers = config.workers or (urls.IN_FLIGHT if urls.is_url(config.records) else tf.data.AUTOTUNE)
    dataset = mapped(dataset, example, num_parallel_calls=workers, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    if of_batch:
        dataset = mapped(dataset, of_batch)
    dataset = dataset.prefetch(2)
    options = tf.data.Options()
    # Images are the parallelism; threads within one would only compete.
    options.threading.max_intra_op_parallelism = 1
    options.threading.private_threadpool_size = max(workers, 0) or cores.usable()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


def mapped(dataset, function, **options):
    """Dataset of what a function makes of each element. AutoGraph takes seconds, and would change nothing."""
    return dataset.map(tf.autograph.experimental.do_not_convert(function), **options)


def python(function, inputs, kinds):
    """A Python function of arrays in a graph.

    Declared to be without state, which it is but for its reports: with deterministic operations, tf.data would call
    a function with state for one image after the other.
    """
    return tf.numpy_function(function, inputs, kinds, stateful=False)


class Damaged:
    """What becomes of damaged records: their problem is raised, or if they are skipped, each is named once."""

    def __init__(self, skip: bool):
        self.skip = skip
        self.rows = set()

    def report(self, row, problem: UserError):
        """Raises the problem of a record, or logs it."""
        if not self.skip:
            raise problem
        if row not in self.rows:
            self.rows.add(row)
            logging.error("%s Going on without it; damaged so far: %d.", problem, len(self.rows))


STRICT = Damaged(skip=False)


def serialized(split, row, damaged=STRICT):
    """Serialized record; a black image without annotations stands in for one that cannot be read and is skipped."""

    def read(row):
        return read_or_report(split, row, damaged) or records.encode(records.blank(*map(int, split.sizes[row])))

    return tf.ensure_shape(python(read, [row], tf.string), [])


def read_or_report(split, row, damaged):
    """Bytes of a record; empty if it cannot be read and is skipped."""
    try:
        return split.serialized(row)
    except CorruptRecord as problem:
        damaged.report(int(row), problem)
        return b""


def picture_of(split, row, record, damaged=STRICT, window=None):
    """Picture [H, W, 3] uint8 of a record, or a window [4] of it, and whether it is sound [].

    Of one that is not, a UserError names shard, record, file and remedy; if it is skipped, the picture is black.
    """

    # Python only to name the culprit: decoding itself runs without the interpreter's lock.
    def decode(encoded, row, filename, height, width, *window):
        stated = int(height), int(width)
        try:
            with tf.device("CPU:0"):
                if window:
                    return image.decode_window(encoded, stated, window[0]).numpy(), True
                picture = image.decode(encoded)
            problem = _of_size(tuple(picture.shape[:2]), stated)
        except tf.errors.InvalidArgumentError as error:
            problem = _of_bytes(encoded, stated, error)
        if problem is None:
            return picture.numpy(), True
        problem = (
            f"{split.index.locate(int(row))}: image {filename.decode()!r} {problem}. Repair or remove it in the source "
            f"(`python -m pipelines.check` names them all), delete {split.shard(row)} and run its pipeline again."
        )
        damaged.report(int(row), UserError(problem))
        return np.zeros([*(window[0][2:] if window else stated), 3], np.uint8), False

    inputs = [record["encoded"], row, record["filename"], record["height"], record["width"]]
    inputs += [] if window is None else [window]
    picture, sound = python(decode, inputs, (tf.uint8, tf.bool))
    return tf.ensure_shape(picture, [None, None, 3]), tf.ensure_shape(sound, [])


def _of_size(size, stated):
    return None if size == stated else f"is {size} pixels (height, width), not {stated} as its record says"


def _of_bytes(encoded, stated, error):
    """What is wrong with an image of which a part could not be decoded: perhaps only its size."""
    try:
        return _of_size(tuple(image.decode(encoded).shape[:2]), stated) or f"cannot be decoded ({error.message})"
    except tf.errors.InvalidArgumentError as whole:
        return f"cannot be decoded ({whole.message})"


def facts(split, row, seed=(0, 0)):
    """What a batch says of the image of a row, or of each of several rows, apart from pixels and annotations."""
    return {
        "original_size": tf.gather(tf.constant(split.sizes, tf.int32), row),
        "record": row,
        "image_id": tf.gather(tf.constant(split.index.image_id), row),
        "seed": tf.convert_to_tensor(seed, tf.int32),
        "valid": tf.ones_like(row, tf.bool),
    }
