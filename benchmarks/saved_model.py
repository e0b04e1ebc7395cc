"""A SavedModel of Mask R-CNN ResNet-50-FPN beside torchvision's, eager, with the same weights: a photo of 480 x 640.

From its pixels to boxes, scores and pasted masks in them; resizing to 800 x 1066 and pasting are part of both. The
networks are those of `models`, which has what they cost by themselves.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import exports, models, sides

CASE, SERVED = "photo of 480x640, masks pasted", "torchvision"


def measure(runs):
    """Yields a row (see `Sides.compare`), and whether the detections agree."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", photo=exports.photo())
        name = "mask_rcnn_r50_fpn_640"
        if sides.PEER_PYTHON:
            subprocess.run([sides.PEER_PYTHON, sides.HERE / "peer_models.py", "weights", folder], check=True)
            name = SERVED
        flagfile = exports.make(folder, name)
        served = exports.export("saved_model", flagfile, Path(folder, "served"), "--masks=pasted")
        with sides.Sides(("ours_saved_model.py", folder, str(served)), ("peer_saved_model.py", folder)) as pair:
            row = pair.compare(CASE, runs, warmups=1)
            if sides.PEER_PYTHON:
                pair.run("save detections")
                row["agreement"] = models.agreement(folder)
                print(f"  {row['agreement']}", flush=True)
            yield row
