"""Both sides of lite.py: python ours_lite.py lite|graph FILE FLAGFILE PHOTO THREADS."""

import sys

import numpy as np
from sides import serve


def lite(file, flagfile, photo, threads):
    """The run of a TFLite file; nothing here imports TensorFlow, whose memory would count."""
    from export.litert import reader

    model = reader.LiteModel(file, threads)
    inputs = model.inputs(model.place(photo))
    return lambda: model.run(inputs)


def graph(file, flagfile, photo, threads):
    """The run of TensorFlow's graph on the same canvas."""
    import tensorflow as tf

    from export.litert import preprocess, reader
    from tfrecog import evaluate
    from tfrecog.cli import flags
    from tfrecog.config import Experiment

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    about = reader.read_metadata(file)
    placed = preprocess.place(photo, about["tflite"]["input"], about["resize"])
    task, model, *_ = evaluate.restore(flags.load(Experiment(), flagfile), "latest")
    batch = {"image": tf.constant(placed.image[None], tf.float32), "size": tf.constant([placed.size], tf.int32)}
    batch["scale"] = tf.constant(placed.scale[None])
    infer = tf.function(lambda: task.predict(model, batch))
    return lambda: tf.nest.map_structure(lambda one: one.numpy(), infer())


def main():
    side, file, flagfile, photo, threads = sys.argv[1:]
    run = {"lite": lite, "graph": graph}[side](file, flagfile, np.load(photo), int(threads))

    class Any(dict):
        def __missing__(self, case):
            return lambda: run() and None

    serve(Any())


if __name__ == "__main__":
    main()
