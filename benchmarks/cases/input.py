"""The input pipeline: JPEGs and COCO annotations to batches, beside a torchvision v2 DataLoader with as many workers.

Both decode, flip at random, resize (short side 800, long side at most 1333) and give boxes and masks. The peer leaves
padding to its model: its batches are lists. Without photos of your own the images are synthetic scenes of 480 x 640.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks import sides

TITLE = "JPEG and COCO annotations to batches of 4, 2 workers"
CASE = "input, one image"
BAR = 1 / 1.2  # of torchvision's time for an image: 1.2 times its images/s
SYNTHETIC, IMAGES = 64, 128  # scenes made, and images of a run


def measure(options):
    """Yields one row (see `Sides.compare`), the time of an image."""
    images, annotations = options.images, options.annotations
    print(f"  ({f'photos of {images}' if images else 'synthetic scenes; --images for real photos'})", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if not images:
            images, annotations = scenes(folder)
        records = f"{folder}/records"
        pipeline("coco", images=images, annotations=annotations, split="train", out=records)
        with sides.Sides("input", (records,), (images, annotations), family=True) as pair:
            row = pair.compare(CASE, options.runs, BAR, warmups=1)
    yield row | {"images_per_second": rates(row)}


def rates(row):
    """Images/s of each side, printed and in words."""
    text = ", ".join(f"{name} {1 / row[name]['median_seconds']:.1f}" for name in ("ours", "peer") if name in row)
    print(f"  images/s: {text}", flush=True)
    return text


def scenes(folder):
    """A folder of JPEGs and its annotations."""
    made, photos = f"{folder}/scenes", f"{folder}/photos"
    pipeline("scenes", count=SYNTHETIC, height=480, width=640, max_objects=12, split="train", out=made)
    pipeline("extract", data=made, split="train", out=photos)
    return photos, f"{photos}/instances.json"


def pipeline(name, **options):
    """Runs python -m pipelines.NAME --OPTION=VALUE …"""
    command = [sys.executable, "-m", f"pipelines.{name}", *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=sides.REPOSITORY)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def ours(records):
    """Our batches."""
    import tensorflow as tf

    from tfrecog.config import DataConfig
    from tfrecog.data import detection
    from tfrecog.data.split import Split

    tf.config.threading.set_inter_op_parallelism_threads(sides.CORES)
    tf.config.threading.set_intra_op_parallelism_threads(sides.CORES)
    config = DataConfig(records=records, batch_size=4, short_side=(800,), long_side=1333, workers=sides.CORES)
    split, steps = Split.open(records, "train"), -(-IMAGES // 4)
    dataset = detection.training(config, split, masks=True, seed=0, start_step=0, steps=steps)
    return {CASE: lambda: sum(batch["image"].shape[0] for batch in dataset)}


class Coco:
    """For the peer's DataLoader: `IMAGES` images with boxes, labels and masks, those of a folder over and over."""

    def __init__(self, images, annotations, short=800, long=1333):
        import torch
        from torchvision.transforms import v2

        tree = json.loads(Path(annotations).read_text())
        objects = defaultdict(list)
        for one in tree["annotations"]:
            if not one.get("iscrowd"):
                objects[one["image_id"]].append(one)
        usable = (image for image in tree["images"] if objects[image["id"]])
        self.images = list(itertools.islice(itertools.cycle(usable), IMAGES))
        self.folder, self.objects = Path(images), objects
        flip, resize = v2.RandomHorizontalFlip(0.5), v2.Resize(short, max_size=long)
        self.transform = v2.Compose([flip, resize, v2.ToDtype(torch.float32, scale=True), v2.SanitizeBoundingBoxes()])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        import torch
        from torchvision import tv_tensors
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms import v2

        image, objects = self.images[i], self.objects[self.images[i]["id"]]
        size = image["height"], image["width"]
        pixels = decode_jpeg(read_file(str(self.folder / image["file_name"])), mode=ImageReadMode.RGB)
        boxes = tv_tensors.BoundingBoxes([one["bbox"] for one in objects], format="XYWH", canvas_size=size)
        target = {
            "boxes": v2.functional.convert_bounding_box_format(boxes, new_format="XYXY"),
            "labels": torch.tensor([one["category_id"] for one in objects]),
        }
        target["masks"] = tv_tensors.Mask(torch.from_numpy(np.stack([self._mask(one, *size) for one in objects])))
        return self.transform(tv_tensors.Image(pixels), target)

    @staticmethod
    def _mask(annotation, height, width):
        from pycocotools import mask as coco_mask

        runs = coco_mask.frPyObjects(annotation["segmentation"], height, width)
        return coco_mask.decode(runs if isinstance(runs, dict) else coco_mask.merge(runs))


def peer(images, annotations):
    """torchvision's own way of feeding Mask R-CNN: `decode_jpeg`, masks by pycocotools, transforms v2, a DataLoader."""
    import torch

    loader = torch.utils.data.DataLoader(
        Coco(images, annotations),
        batch_size=4,
        shuffle=True,
        num_workers=sides.CORES,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        persistent_workers=True,
    )
    return {CASE: lambda: sum(len(images) for images, _ in loader)}
