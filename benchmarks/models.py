"""Mask R-CNN ResNet-50-FPN: inference and a training step, beside torchvision's with the same weights and inputs."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides

# Most that ours may take, as a share of torchvision's time.
INFERENCE, TRAINING = {"inference, 1 image 800x1216": 0.8}, {"training step, 2 images 480x640": 0.9}


def measure(runs):
    """Yields a row (see `Sides.compare`) for each case, each in fresh processes, and whether the detections agree."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        if sides.PEER_PYTHON:
            subprocess.run([sides.PEER_PYTHON, sides.HERE / "peer_models.py", "weights", folder], check=True)
        for cases in (INFERENCE, TRAINING):
            with sides.Sides(("ours_models.py", folder), ("peer_models.py", folder)) as pair:
                for case, bar in cases.items():
                    row = pair.compare(case, runs, bar)
                    if cases is INFERENCE and sides.PEER_PYTHON:
                        pair.run("save detections")
                        row["agreement"] = agreement(folder)
                        print(f"  {row['agreement']}", flush=True)
                    yield row


def inputs(seed=0):
    """An image, and two with the boxes [2, 8, 4] and labels [2, 8] of objects, whose masks fill their boxes."""
    rng = np.random.default_rng(seed)

    def images(count, height, width):
        blocks = rng.integers(0, 256, (count, height // 8, width // 8, 3))
        return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)

    corner = rng.uniform(0, [480 * 0.6, 640 * 0.6], (2, 8, 2))
    size = rng.uniform(20, [480 * 0.4, 640 * 0.4], (2, 8, 2))
    return {
        "image": images(1, 800, 1216),
        "pictures": images(2, 480, 640),
        "boxes": np.concatenate([corner, corner + size], axis=-1).round().astype(np.float32),
        "labels": rng.integers(1, 91, (2, 8)).astype(np.int32),
    }


def agreement(folder):
    """How the detections of the two sides, files in `folder`, agree, in words."""
    ours, peer = (dict(np.load(Path(folder, name))) for name in ("ours.npz", "peer.npz"))
    apart = np.abs(ours["boxes"][:, None] - peer["boxes"][None, :, [1, 0, 3, 2]]).max(axis=-1, initial=0)
    apart = np.where(ours["labels"][:, None] == peer["labels"], apart, np.inf)
    nearest = apart.argmin(axis=1)
    box, score = apart.min(axis=1), np.abs(ours["scores"] - peer["scores"][nearest])
    same = (box < 0.01) & (score < 1e-4)
    # One of the peer's cannot stand for two of ours.
    number = len(np.unique(nearest[same]))
    text = f"detections: {number} of {len(ours['labels'])} (peer {len(peer['labels'])}) agree in label, box and score"
    return text + (
        f"; boxes within {box[same].max():.1g} pixels, scores within {score[same].max():.1g}" if number else ""
    )
