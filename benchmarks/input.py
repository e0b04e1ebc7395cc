"""The input pipeline: JPEGs and COCO annotations to batches, beside a torchvision v2 DataLoader with as many workers.

Both decode, flip at random, resize (short side 800, long side at most 1333) and give boxes and masks. The peer leaves
padding to its model: its batches are lists. Without photos of your own the images are synthetic scenes of 480 x 640.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import sides

BAR = 1 / 1.2  # of torchvision's time for an image: 1.2 times its images a second
SYNTHETIC = 64


def measure(runs, images=None, annotations=None):
    """Yields one row (see `Sides.compare`), the time of an image."""
    with tempfile.TemporaryDirectory() as folder:
        if not images:
            images, annotations = scenes(folder)
        records = f"{folder}/records"
        pipeline("coco", images=images, annotations=annotations, split="train", out=records)
        ours, peer = ("ours_input.py", records), ("peer_input.py", str(images), str(annotations))
        with sides.Sides(ours, peer, family=True) as pair:
            row = pair.compare("input, one image", runs, BAR, warmups=1)
    rates = [f"{name} {1 / row[name]['median_seconds']:.1f}" for name in ("ours", "peer") if name in row]
    row["images_per_second"] = ", ".join(rates)
    print(f"  images a second: {row['images_per_second']}", flush=True)
    yield row


def scenes(folder):
    """A folder of JPEGs and its annotations."""
    made, photos = f"{folder}/scenes", f"{folder}/photos"
    pipeline("scenes", count=SYNTHETIC, height=480, width=640, max_objects=12, split="train", out=made)
    pipeline("extract", data=made, split="train", out=photos)
    return photos, f"{photos}/instances.json"


def pipeline(name, **options):
    """Runs python -m pipelines.NAME --OPTION=VALUE …"""
    command = [sys.executable, "-m", f"pipelines.{name}", *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
