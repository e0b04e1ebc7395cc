"""A classifier's input: JPEGs to batches of 64 crops of 224 pixels, beside a torchvision v2 DataLoader of two workers.

Both decode, cut out a random area and shape, resize it, mirror it at random and give float32. The peer also normalises,
which our network does itself. Without photos of your own the pictures are synthetic scenes of 480 x 640.
"""

import statistics
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks import sides
from benchmarks.input import scenes

BAR = 1 / 1.5  # of torchvision's time for an image: 1.5 times its images a second
LONGEST = {"as they are": 0, "of 500 pixels": 500}  # as most of ImageNet's
# Each with all before it; and beside `batch`, what is off by default.
STAGES = ("read", "decode", "resize", "flip", "batch")
EXTRAS = ("jitter", "lighting", "randaugment", "mixup", "antialias")


def measure(runs, images=None):
    """Yields a row (see `Sides.compare`) for each filter and size of picture, then the cost of each of our stages."""
    with tempfile.TemporaryDirectory() as folder:
        images = images or scenes(folder)[0]
        for what, longest in LONGEST.items():
            photos = _shrunk(images, longest, Path(folder) / str(longest)) if longest else str(images)
            ours = ("ours_classification_input.py", photos, f"{folder}/records-{longest}")
            with sides.Sides(ours, ("peer_classification_input.py", photos), family=True) as pair:
                for resize in ("bilinear", "antialias"):
                    row = pair.compare(f"crop, {resize}, photos {what}", runs, BAR, warmups=1)
                    rates = [
                        f"{name} {1 / row[name]['median_seconds']:.0f}" for name in ("ours", "peer") if name in row
                    ]
                    row["images_per_second"] = ", ".join(rates)
                    print(f"  images a second: {row['images_per_second']}", flush=True)
                    yield row
                if not longest:
                    yield _stages(pair.sides["ours"], runs)


def _stages(side, runs):
    """Milliseconds an image that each stage adds; a stage is measured with all before it."""
    names = (*STAGES, *EXTRAS)
    took = {name: [] for name in names}
    for turn in range(1 + runs):
        for name in names:
            seconds = side.run(name)
            if turn:
                took[name].append(1e3 * seconds)
    medians = {name: statistics.median(values) for name, values in took.items()}
    added, before = {}, 0.0
    for name in STAGES:
        added[name], before = medians[name] - before, medians[name]
    added |= {name: medians[name] - medians["batch"] for name in EXTRAS}
    print("  ms an image, by stage: " + ", ".join(f"{name} {value:.2f}" for name, value in added.items()), flush=True)
    return {"case": "stages", "milliseconds": medians, "added_milliseconds": added}


def _shrunk(images, longest, folder):
    """A folder of the photos with their longest side at most so many pixels."""
    folder.mkdir()
    for path in sorted(Path(images).glob("*.jpg")):
        with Image.open(path) as picture:
            picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
            picture.convert("RGB").save(folder / path.name, quality=95)
    return str(folder)
