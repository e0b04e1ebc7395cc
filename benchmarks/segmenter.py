"""FCN on a dilated ResNet-50: logits of one image of 520x520, a training step of two of 480x480; beside torchvision's.
The weights, pictures and labels are the same on both sides, 21 classes. torchvision's network is measured without its
auxiliary head where it infers (ours has none then), and in both of PyTorch's layouts, for which is faster depends on
the processor. Training is by SGD with momentum on both heads' losses; dropout is on, but not where losses are compared.

A quarter of all products is in one convolution, the head's 3x3 of 2048 channels. Of an image of 520x520 it costs 0.59 s
of processor time at torchvision, 1.1 s by TensorFlow's convolution, and 0.42 s by `tfrecog.ops.winograd`, forward and
gradients alike (a CPU with AVX-512); the three of 512 channels in res5 go from 0.19 s each to 0.12 s.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides

SIDE, CROP, BATCH, CLASSES = 520, 480, 2, 21
LAYOUTS = ("contiguous_format", "channels_last")
INFERENCE, STEP = f"logits, {SIDE}x{SIDE}", f"training step, {BATCH} of {CROP}x{CROP}"
BAR = 0.9  # Most that ours may take, as a share of torchvision's time.


def measure(runs):
    """Yields a row (see `Sides.compare`) for each case and layout of the peer, each layout in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        if sides.PEER_PYTHON:
            subprocess.run([sides.PEER_PYTHON, sides.HERE / "peer_segmenter.py", "weights", folder], check=True)
        for layout in LAYOUTS if sides.PEER_PYTHON else LAYOUTS[:1]:
            with sides.Sides(("ours_segmenter.py", folder), ("peer_segmenter.py", folder, layout)) as pair:
                pair.run("agreement")
                print(f"  the peer {layout}{agreement(folder) if sides.PEER_PYTHON else ''}", flush=True)
                for case in ("inference", "training"):
                    title = {"inference": INFERENCE, "training": STEP}[case]
                    yield pair.compare(case, runs, BAR, warmups=1) | {"case": title, "layout": layout}


def inputs(seed=0):
    """Pictures [1, 520, 520, 3] and [2, 480, 480, 3] in 0..255, and labels [2, 480, 480] in 0..21; 0 does not count."""
    rng = np.random.default_rng(seed)

    def blocks(batch, side, last, cells=40):
        drawn = rng.integers(0, last, (batch, cells, cells))
        return drawn.repeat(side // cells, axis=1).repeat(side // cells, axis=2)

    photo, crops = (np.stack([blocks(n, s, 256) for _ in range(3)], axis=-1) for n, s in ((1, SIDE), (BATCH, CROP)))
    labels = blocks(BATCH, CROP, CLASSES + 1)
    return {"photo": photo.astype(np.float32), "image": crops.astype(np.float32), "label_map": labels.astype(np.int32)}


def agreement(folder):
    """How far the logits and losses of the two sides, files in `folder`, are apart; in words."""
    ours, peer = (np.load(Path(folder, name)) for name in ("ours.npz", "peer.npz"))
    apart = np.abs(ours["logits"] - peer["logits"]).max()
    losses = " and ".join(f"{a:.5f} / {b:.5f}" for a, b in zip(ours["losses"], peer["losses"], strict=True))
    return f"; logits of up to {np.abs(peer['logits']).max():.2f} differ by at most {apart:.1e}; losses {losses}"
