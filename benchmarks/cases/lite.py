"""TFLite and ONNX files in their runtimes (ours), beside TensorFlow's graph on the same canvas (the peer).

All on 1 and on 2 threads, one image, without reading or resizing it; what a file costs in memory is with NumPy and its
runtime, and the graph with TensorFlow. A file computes every slot of a detector, whether it is filled or not.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import exports, pictures, sides
from benchmarks.sides import Case

TITLE = "TFLite and ONNX files, beside TensorFlow's graph, one image (ours: the file, float32)"
PEER_PYTHON = sys.executable
SIZES = {"mask_rcnn_r18_fpn_scenes": "128x160", "mask_rcnn_r50_fpn_640": "640x640"}
CASE = "one image"


def cases(folder, options):
    """Yields each network and number of threads; with one, what export.verify says of the file and the photo."""
    photo = f"{folder}/photo.png"
    Image.fromarray(pictures.photo()).save(photo)
    for name, size in SIZES.items():
        flagfile = exports.make(folder, name)
        for kind in ("tflite", "onnx"):
            file = exports.export(kind, flagfile, Path(folder, name, f"model.{kind}"), f"--size={size}")
            facts = {"network": name, "kind": kind, "size": size, "file_mb": file.stat().st_size / 1e6}
            for threads in (1, 2):
                yield Case(
                    CASE, None, (file, flagfile, photo, threads), warmups=1, facts=facts | {"threads": threads},
                    title=f"{name}, {kind}, {threads} thread{'s'[: threads > 1]}",
                    check=_verify(file, flagfile, photo) if threads == 1 else sides.no_check,
                )  # fmt: skip


def _verify(file, flagfile, photo):
    flags = [f"--flagfile={flagfile}", f"--artefact={file}", f"--images={photo}"]

    def check(pair):
        command = [sys.executable, "-m", "export.verify", *flags]
        done = subprocess.run(command, capture_output=True, text=True, cwd=sides.REPOSITORY)
        return {"detections": (done.stdout if done.returncode < 2 else done.stderr).strip().splitlines()[-1]}

    return check


def ours(file, _flagfile, photo, threads):
    """A file; nothing here imports TensorFlow, whose memory would count."""
    from export.onnx_files.reader import READERS

    model = READERS[Path(file).suffix](file, int(threads))
    inputs = model.inputs(model.place(np.asarray(Image.open(photo))))

    def run():
        model.run(inputs)

    return {CASE: run}


def peer(file, flagfile, photo, threads):
    """TensorFlow's graph on the same canvas."""
    from export.artifact import preprocess
    from export.onnx_files.reader import READERS
    from tfrecog.cli import flags
    from tfrecog.config import Experiment
    from tfrecog.runs import trained

    tf = sides.tensorflow(int(threads))
    reader = READERS[Path(file).suffix]
    about = reader.read_metadata(file)
    placed = preprocess.place(np.asarray(Image.open(photo)), about[reader.kind]["input"], about["resize"])
    task, model, *_ = trained.restore(flags.load(Experiment(), flagfile), "latest")
    batch = {"image": tf.constant(placed.image[None], tf.float32), "size": tf.constant([placed.size], tf.int32)}
    batch["scale"] = tf.constant(placed.scale[None])
    infer = tf.function(lambda: task.predict(model, batch))

    def run():
        tf.nest.map_structure(lambda one: one.numpy(), infer())

    return {CASE: run}
