"""A SavedModel of Mask R-CNN ResNet-50-FPN beside torchvision's, eager, with the same weights: a photo of 480 x 640.

From its pixels to boxes, scores and pasted masks in them; resizing to 800 x 1066 and pasting are part of both. The
networks are those of `models`, which has what they cost by themselves.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import exports, sides
from benchmarks.cases import models

TITLE = "Mask R-CNN ResNet-50-FPN, exported, the same weights as torchvision's"
CASE = "photo of 480x640, masks pasted"


def measure(options):
    """Yields a row (see `Sides.compare`), and whether the detections agree."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", photo=exports.photo())
        has_peer = sides.make_weights("models", folder)
        flagfile = exports.make(folder, "torchvision" if has_peer else "mask_rcnn_r50_fpn_640")
        served = exports.export("saved_model", flagfile, Path(folder, "served"), "--masks=pasted")
        with sides.Sides("saved_model", (folder, served), (folder,)) as pair:
            row = pair.compare(CASE, options.runs, warmups=1)
            if has_peer:
                pair.run("save detections")
                row["agreement"] = models.agreement(folder)
                print(f"  {row['agreement']}", flush=True)
            yield row


def _cases(folder, name, infer):
    def save():
        found = infer()
        np.savez(Path(folder, name), **{key: found[key] for key in ("boxes", "labels", "scores")})

    return {CASE: infer, "save detections": save}


def ours(folder, served):
    """The exported model."""
    from export.served_graph.reader import SavedReader

    model, photo = SavedReader(served), np.load(Path(folder, "inputs.npz"))["photo"]
    return _cases(folder, "ours.npz", lambda: model.predict(photo))


def peer(folder):
    """torchvision's, eager."""
    import torch

    torch.set_num_threads(2)
    photo = torch.from_numpy(np.load(Path(folder, "inputs.npz"))["photo"]).permute(2, 0, 1) / 255
    model = models.loaded(models.peer_network().eval(), folder)

    def infer():
        with torch.inference_mode():
            [found] = model([photo])
        found["masks"] = found["masks"] > 0.5
        return {name: value.numpy() for name, value in found.items()}

    return _cases(folder, "peer.npz", infer)
