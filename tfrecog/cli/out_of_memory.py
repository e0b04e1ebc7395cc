"""What to do when a device has not enough memory."""

import re
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrecog.cli import validate
from tfrecog.cli.errors import Status, UserError
from tfrecog.cli.facts import ImageSize, shown

if TYPE_CHECKING:
    from tfrecog.config import Experiment


class OutOfMemory(UserError):
    """A device ran out of memory; the message says on what, and what to lower."""

    status = Status.FAILED


def in_training(error: tf.errors.OpError, batch: dict, experiment: "Experiment", replicas: int) -> OutOfMemory:
    """The error for a step of the train loop on a global batch [B, ...]."""
    parts, size = experiment.train.accumulate_steps, experiment.data.batch_size
    share = size // replicas
    split = f", each share in {parts} parts" if parts > 1 else ""
    where = f"{size} images on {_devices(replicas)}{split}: {share // parts} at a time"
    finer = next((k for k in range(parts + 1, share + 1) if share % k == 0), None)
    advice = []
    if finer:
        advice.append(
            f"--train.accumulate_steps={finer} works through the batch {share // finer} at a time, and changes no "
            "result (batch norm aside, whose statistics are of those)"
        )
    if size // 2 >= replicas:
        advice.append(f"--data.batch_size={size // 2 // replicas * replicas}, and the learning rate follows")
    if sizes := _image_sizes(experiment):
        advice.append(f"smaller images: {sizes}")
    if experiment.train.precision == "float32":
        advice.append("--train.precision=bfloat16 in a new --workdir, about half of it")
    return OutOfMemory(_message(error, where, batch, advice))


def in_use(error: tf.errors.OpError, batch: dict, replicas: int) -> OutOfMemory:
    """The error for an evaluation or a prediction of a batch [B, ...]."""
    size = len(next(iter(batch.values())))
    advice = []
    if size > replicas:
        fewer = size // 2 // replicas * replicas or replicas
        advice.append(f"--data.eval_batch_size={fewer}, which changes no number")
    advice.append("smaller images: --data.eval_short_side (--data.long_side of a detector), which does")
    advice.append("for a segmenter --segmenter.window, which looks at parts")
    return OutOfMemory(_message(error, f"{size} images on {_devices(replicas)}", batch, advice))


def reason(error: tf.errors.OpError) -> str:
    """The first line of what TensorFlow says."""
    return re.sub(r"^\{\{function_node .*?\}\} ", "", str(error.message)).partition("\n")[0]


def _message(error, where, batch, advice):
    image = batch.get("image")
    size = f", of {image.shape[1]} x {image.shape[2]} pixels" if image is not None and len(image.shape) == 4 else ""
    choices = "".join(f"\n  {line}" for line in advice)
    return f"out of memory: {where}{size} ({reason(error)}). What needs less:{choices}\nOr more devices."


def _devices(replicas):
    return f"{replicas} replicas" if replicas > 1 else "one replica"


def _image_sizes(experiment):
    """The flags that decide how large the images of a batch are, with what they are now."""
    facts = ((leaf, leaf.fact(ImageSize)) for leaf in validate.read_leaves(experiment))
    found = (leaf for leaf, fact in facts if fact and (not fact.tasks or experiment.task in fact.tasks))
    return ", ".join(f"--{leaf.path} below {shown(leaf.value)}" for leaf in found)
