"""TFLite files in LiteRT (ours, here) beside TensorFlow's graph of the same network on the same canvas (the peer).

Both on 1 and on 2 threads, one image, without reading or resizing it; what LiteRT costs in memory is with NumPy, and
TensorFlow's with TensorFlow. LiteRT computes every slot of a detector, whether it is filled or not.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import exports, sides

SIZES = {"mask_rcnn_r18_fpn_scenes": "128x160", "mask_rcnn_r50_fpn_640": "640x640"}
THREADS = (1, 2)


def measure(runs):
    """Yields a row (see `Sides.compare`) for each network and number of threads, each in fresh processes."""
    print("  (ours: LiteRT, float32; peer: TensorFlow's graph)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/photo.npy", exports.photo())
        for name, size in SIZES.items():
            flagfile = exports.make(folder, name)
            file = exports.export("tflite", flagfile, Path(folder, name, "model.tflite"), f"--size={size}")
            for threads in THREADS:
                ours, peer = (("ours_lite.py", "lite"), ("ours_lite.py", "graph"))
                arguments = str(file), str(flagfile), f"{folder}/photo.npy", str(threads)
                pair = sides.Sides((*ours, *arguments), (*peer, *arguments), peer_python=sys.executable)
                with pair:
                    row = pair.compare(f"{name}, {threads} thread{'s'[: threads > 1]}", runs, warmups=1)
                row |= {"network": name, "size": size, "threads": threads, "file_mb": file.stat().st_size / 1e6}
                yield row | {"detections": agreement(file, flagfile, folder, arguments) if threads == 1 else None}


def agreement(file, flagfile, folder, arguments):
    """What export.verify says of the file and the photo, in a line."""
    path = Path(folder, "photo.png")
    Image.fromarray(np.load(arguments[2])).save(path)
    command = [
        sys.executable,
        "-m",
        "export.verify",
        f"--flagfile={flagfile}",
        f"--artefact={file}",
        f"--images={path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exports.REPOSITORY)
    said = done.stdout if done.returncode < 2 else done.stderr
    text = said.strip().splitlines()[-1]
    print(f"  {text}", flush=True)
    return text
