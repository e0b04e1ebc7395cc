"""Devices to train on: every GPU, or logical CPUs; of this machine, or of each of several."""

import functools

import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.runtime import cluster


@functools.cache  # Two strategies of the same devices would get into each other's collective operations.
def strategy(replicas: int = 0) -> tf.distribute.Strategy:
    """A MirroredStrategy of this many GPUs, or of logical CPUs where there is no GPU. 0: every GPU, or one CPU.

    Where several workers train together, a MultiWorkerMirroredStrategy of as many on each.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if replicas > len(gpus) > 0:
        raise UserError(f"--train.replicas={replicas}: this machine has {len(gpus)} GPUs; use 0 for all of them")
    if cluster.workers().count > 1:
        return _of_workers(cluster.workers(), replicas or len(gpus) or 1, "GPU" if gpus else "CPU")
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas or len(gpus))])
    reserve(replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas or 1)])


def _of_workers(workers: cluster.Workers, replicas: int, kind: str) -> tf.distribute.Strategy:
    """The strategy of several workers; made before TensorFlow's first operation, and on all workers at a time."""
    if kind == "CPU" and replicas > 1:
        raise UserError(
            f"--train.replicas={replicas}: where several machines train without GPUs, each has one replica; leave it "
            "at 0, and start more workers where a machine has cores for them (python -m tfrecog.launch)"
        )
    named = workers.cluster
    task, number = named.tasks[named.index]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(named.spec),
        task_type=task,
        task_id=number,
        num_accelerators={"GPU": replicas if kind == "GPU" else 0},
    )
    # What TensorFlow chooses by itself sends the gradients of GPUs, too, around a ring by gRPC.
    nccl = tf.distribute.experimental.CommunicationImplementation.NCCL
    options = tf.distribute.experimental.CommunicationOptions(implementation=nccl) if kind == "GPU" else None
    return workers.connect(lambda: tf.distribute.MultiWorkerMirroredStrategy(resolver, options))


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


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """How many of a strategy's replicas are on this machine."""
    return strategy.num_replicas_in_sync // cluster.workers().count


def per_replica(strategy: tf.distribute.Strategy, batch: dict) -> dict:
    """Splits each tensor [B, ...] of this machine's batch into equal parts, one a replica; shapes stay static."""
    count = local_replicas(strategy)
    with tf.device("CPU:0"):  # Where the batch is: eagerly, a split would else copy all of it to the first GPU.
        parts = {name: tf.split(value, count) for name, value in batch.items()}
    return {
        name: strategy.experimental_distribute_values_from_function(
            lambda context, part=part: part[context.replica_id_in_sync_group % count]
        )
        for name, part in parts.items()
    }
