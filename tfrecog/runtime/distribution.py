"""Devices to train on: every GPU, or logical CPUs."""

import functools

import tensorflow as tf

from tfrecog.cli.errors import UserError


@functools.cache  # Two strategies of the same devices would get into each other's collective operations.
def strategy(replicas: int = 0) -> tf.distribute.MirroredStrategy:
    """A MirroredStrategy of this many GPUs, or of logical CPUs where there is no GPU. 0: every GPU, or one CPU."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        if replicas > len(gpus):
            raise UserError(f"--train.replicas={replicas}: this machine has {len(gpus)} GPUs; use 0 for all of them")
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas or len(gpus))])
    reserve(replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas or 1)])


def at_most(replicas: int) -> tf.distribute.MirroredStrategy:
    """The `strategy` of this many replicas, or, with a printed line, of as many as this machine has."""
    try:
        return strategy(replicas)
    except ValueError:
        count = len(tf.config.get_visible_devices("GPU") or tf.config.list_logical_devices("CPU"))
        print(
            f"--train.replicas={replicas}: {count} devices here; the results are the same, and take longer", flush=True
        )
        return strategy(count)


def reserve(replicas: int) -> None:
    """Makes this many logical CPUs where there is no GPU; possible only before TensorFlow's first operation."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_visible_devices("GPU") or len(tf.config.get_logical_device_configuration(cpu) or [0]) >= replicas:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError as error:
        raise UserError(f"--train.replicas={replicas}: TensorFlow has already begun with fewer CPU devices") from error


def per_replica(strategy: tf.distribute.Strategy, batch: dict) -> dict:
    """Splits each tensor [B, ...] of a batch into equal parts, one a replica; shapes stay static."""
    count = strategy.num_replicas_in_sync
    with tf.device("CPU:0"):  # Where the batch is: eagerly, a split would else copy all of it to the first GPU.
        parts = {name: tf.split(value, count) for name, value in batch.items()}
    return {
        name: strategy.experimental_distribute_values_from_function(
            lambda context, part=part: part[context.replica_id_in_sync_group]
        )
        for name, part in parts.items()
    }
