"""ResNet-50 at 224 x 224: a training step, beside torchvision's with the same weights and pictures.

The peer is measured in both of PyTorch's layouts, for which is faster depends on the processor and the precision. In
bfloat16 the peer is under torch.autocast, and weights are float32 on both sides.

Where ours spends it, in float32 on a CPU with AVX-512 (tf.profiler; shares of the time of all operations):

  gradients of features 32 %, gradients of kernels 31 %, convolutions 15 %, batch norm and its gradient 11 %,
  the update of the weights 6 %, ReLU and sums 5 %, padding and pooling 1 %

A step of 16 images costs 3.9 s of processor time. It was 5.8 s with batch norm as some twenty operations (35 % of the
time), and 4.1 s with explicit padding in strided convolutions and the pooling, whose gradients are not oneDNN's.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides

BATCH = 16
PRECISIONS, LAYOUTS = ("float32", "bfloat16"), ("contiguous_format", "channels_last")
BAR = 1.0  # Most that ours may take, as a share of torchvision's time.


def measure(runs):
    """Yields a row (see `Sides.compare`) for each precision and layout of the peer, each in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        if sides.PEER_PYTHON:
            subprocess.run([sides.PEER_PYTHON, sides.HERE / "peer_classifier.py", "weights", folder], check=True)
        for precision in PRECISIONS:
            for layout in LAYOUTS if sides.PEER_PYTHON else LAYOUTS[:1]:
                ours, peer = (
                    ("ours_classifier.py", folder, precision),
                    ("peer_classifier.py", folder, precision, layout),
                )
                with sides.Sides(ours, peer) as pair:
                    print(f"  {precision}, {BATCH} images, the peer {layout}", flush=True)
                    row = pair.compare("training step, 16 images", runs, BAR)
                    pair.run("save losses")
                row |= {"precision": precision, "layout": layout}
                row["rates"] = {side: BATCH / row[side]["median_seconds"] for side in ("ours", "peer") if side in row}
                print(f"  {rates(row['rates'])}{agreement(folder) if sides.PEER_PYTHON else ''}", flush=True)
                yield row


def inputs(seed=0):
    """Pictures [B, 224, 224, 3] in 0..255 and labels [B] in 1..1000."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (BATCH, 28, 28, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return {"image": blocks.astype(np.float32), "label": rng.integers(1, 1001, BATCH).astype(np.int32)}


def rates(images):
    """Images a second of each side, in words."""
    return "images/s: " + ", ".join(f"{side} {rate:.2f}" for side, rate in images.items())


def agreement(folder):
    """The losses of the two sides, files in `folder`, in words."""
    ours, peer = (np.load(Path(folder, name))["loss"] for name in ("ours.npz", "peer.npz"))
    return f"; first loss {ours[0]:.4f} and {peer[0]:.4f}, third {ours[2]:.4f} and {peer[2]:.4f}"
