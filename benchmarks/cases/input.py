"""The input pipeline: JPEGs and COCO annotations to batches, beside a torchvision v2 DataLoader with as many workers.

Both decode, flip at random, resize (short side 800, long side at most 1333) and give boxes and masks. The peer leaves
padding to its model: its batches are lists. Without photos of your own the images are synthetic scenes of 480 x 640.
"""

import itertools
from pathlib import Path

import numpy as np

from benchmarks import exports, sides
from benchmarks.sides import Case

TITLE = "JPEG and COCO annotations to batches of 4, 2 workers (synthetic scenes unless --images names photos)"
WORKERS = True
CASE = "input, one image"
BAR = 1 / 1.2  # of torchvision's time for an image: 1.2 times its images/s
SYNTHETIC, IMAGES = 64, 128  # scenes made, and images of a run


def cases(folder, options):
    """One, the time of an image."""
    images, annotations = (options.images, options.annotations) if options.images else scenes(folder)
    records = f"{folder}/records"
    pipeline("coco", images=images, annotations=annotations, split="train", out=records)
    return [Case(CASE, BAR, (records,), (images, annotations), warmups=1, images=1)]


def scenes(folder):
    """A folder of JPEGs and its annotations."""
    made, photos = f"{folder}/scenes", f"{folder}/photos"
    pipeline("scenes", count=SYNTHETIC, height=480, width=640, max_objects=12, split="train", out=made)
    pipeline("extract", data=made, split="train", out=photos)
    return photos, f"{photos}/instances.json"


def pipeline(name, **options):
    """Runs python -m pipelines.NAME --OPTION=VALUE …"""
    exports.run(f"pipelines.{name}", *(f"--{key}={value}" for key, value in options.items()))


def ours(records):
    """Our batches."""
    from tfrecog.config import DataConfig
    from tfrecog.data import detection
    from tfrecog.data.split import Split

    sides.tensorflow()
    config = DataConfig(records=records, batch_size=4, short_side=(800,), long_side=1333, workers=sides.CORES)
    split, steps = Split.open(records, "train"), -(-IMAGES // 4)
    dataset = detection.training(config, split, masks=True, seed=0, start_step=0, steps=steps)
    return {CASE: lambda: sum(batch["image"].shape[0] for batch in dataset)}


class Coco:
    """For the peer's DataLoader: `IMAGES` images with boxes, labels and masks, those of a folder over and over."""

    def __init__(self, images, annotations, short=800, long=1333):
        import torch
        from pycocotools.coco import COCO
        from torchvision.transforms import v2

        self.folder, self.truth = Path(images), COCO(annotations)
        usable = (one for one in self.truth.dataset["images"] if self._objects(one))
        self.images = list(itertools.islice(itertools.cycle(usable), IMAGES))
        flip, resize = v2.RandomHorizontalFlip(0.5), v2.Resize(short, max_size=long)
        self.transform = v2.Compose([flip, resize, v2.ToDtype(torch.float32, scale=True), v2.SanitizeBoundingBoxes()])

    def _objects(self, image):
        return self.truth.loadAnns(self.truth.getAnnIds(image["id"], iscrowd=False))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        import torch
        from torchvision import tv_tensors
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms import v2

        image, objects = self.images[i], self._objects(self.images[i])
        pixels = decode_jpeg(read_file(str(self.folder / image["file_name"])), mode=ImageReadMode.RGB)
        size = image["height"], image["width"]
        boxes = tv_tensors.BoundingBoxes([one["bbox"] for one in objects], format="XYWH", canvas_size=size)
        target = {
            "boxes": v2.functional.convert_bounding_box_format(boxes, new_format="XYXY"),
            "labels": torch.tensor([one["category_id"] for one in objects]),
            "masks": tv_tensors.Mask(torch.from_numpy(np.stack([self.truth.annToMask(one) for one in objects]))),
        }
        return self.transform(tv_tensors.Image(pixels), target)


def loader(images, batch_size, **options):
    """The peer's DataLoader, with a worker for each core."""
    import torch

    workers = {"num_workers": sides.CORES, "persistent_workers": True}
    return torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=True, **workers, **options)


def peer(images, annotations):
    """torchvision's own way of feeding Mask R-CNN: `decode_jpeg`, masks by pycocotools, transforms v2, a DataLoader."""
    batches = loader(Coco(images, annotations), 4, collate_fn=lambda batch: tuple(zip(*batch, strict=True)))
    return {CASE: lambda: sum(len(images) for images, _ in batches)}
