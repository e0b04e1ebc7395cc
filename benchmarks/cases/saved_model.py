"""A SavedModel of Mask R-CNN ResNet-50-FPN beside torchvision's, eager, with the same weights: a photo of 480 x 640.

From its pixels to boxes, scores and pasted masks in them; resizing to 800 x 1066 and pasting are part of both. The
networks are those of `models`, which has what they cost by themselves.
"""

from pathlib import Path

import numpy as np

from benchmarks import agreement, exports, peers, pictures, sides
from benchmarks.cases import models
from benchmarks.sides import Case

TITLE = "Mask R-CNN ResNet-50-FPN, exported, the same weights as torchvision's"
CASE = "photo of 480x640, masks pasted"


def cases(folder, options):
    """One, and whether the detections agree."""
    np.savez(f"{folder}/inputs.npz", photo=pictures.photo())
    has_peer = sides.make_weights("models", folder)
    flagfile = exports.make(folder, "torchvision" if has_peer else "mask_rcnn_r50_fpn_640")
    served = exports.export("saved_model", flagfile, Path(folder, "served"), "--masks=pasted")
    check = agreement.check(agreement.of_detections)
    return [Case(CASE, None, (folder, served), (folder,), warmups=1, check=check)]


def ours(folder, served):
    """The exported model."""
    from export.served_graph.reader import SavedReader

    model, photo = SavedReader(served), np.load(Path(folder, "inputs.npz"))["photo"]

    def infer():
        return model.run(photo)

    return {CASE: infer, "agreement": lambda: agreement.filled(model.predict(photo))}


def peer(folder):
    """torchvision's, eager."""
    torch = peers.torch()
    photo = torch.from_numpy(np.load(Path(folder, "inputs.npz"))["photo"]).permute(2, 0, 1) / 255
    model = peers.loaded(models.peer_network().eval(), folder)

    def infer():
        with torch.inference_mode():
            [found] = model([photo])
        found["masks"] = found["masks"] > 0.5
        return {name: value.numpy() for name, value in found.items()}

    return {CASE: infer, "agreement": lambda: agreement.filled(infer())}
