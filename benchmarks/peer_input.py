"""The peer of `input_pipeline.py`: torchvision's own way of feeding Mask R-CNN. Run by the interpreter in PEER_PYTHON.

COCO annotations, `decode_jpeg`, masks as `pycocotools` draws them, transforms v2 (flip, resize, float), a DataLoader.
Reads settings as JSON from the first line of the standard input; measures an epoch for every further line.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torchvision
from pycocotools import mask as coco_mask
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2


class Coco(torch.utils.data.Dataset):
    """Images with boxes, labels and, if asked for, masks, `copies` times over."""

    def __init__(self, images, annotations, copies, short, long, masks):
        tree = json.loads(Path(annotations).read_text())
        objects = defaultdict(list)
        for one in tree["annotations"]:
            if not one.get("iscrowd"):
                objects[one["image_id"]].append(one)
        self.images = [one for one in tree["images"] if objects[one["id"]]] * copies
        self.folder, self.objects, self.masks = Path(images), objects, masks
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.Resize(short, max_size=long),
                v2.ToDtype(torch.float32, scale=True),
                v2.SanitizeBoundingBoxes(),
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, objects = self.images[i], self.objects[self.images[i]["id"]]
        size = image["height"], image["width"]
        pixels = decode_jpeg(read_file(str(self.folder / image["file_name"])), mode=ImageReadMode.RGB)
        boxes = tv_tensors.BoundingBoxes([one["bbox"] for one in objects], format="XYWH", canvas_size=size)
        target = {
            "boxes": v2.functional.convert_bounding_box_format(boxes, new_format="XYXY"),
            "labels": torch.tensor([one["category_id"] for one in objects]),
        }
        if self.masks:
            masks = [
                coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(one["segmentation"], *size))) for one in objects
            ]
            target["masks"] = tv_tensors.Mask(torch.from_numpy(np.stack(masks)))
        return self.transform(tv_tensors.Image(pixels), target)


def main():
    settings = json.loads(sys.stdin.readline())
    names = ("images", "annotations", "copies", "short", "long", "masks")
    loader = torch.utils.data.DataLoader(
        Coco(*(settings[name] for name in names)),
        batch_size=settings["batch_size"],
        shuffle=True,
        num_workers=settings["workers"],
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        persistent_workers=True,
    )
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    for _ in sys.stdin:
        start, images = time.perf_counter(), 0
        for batch, _ in loader:
            images += len(batch)
        print(json.dumps({"images": images, "seconds": time.perf_counter() - start, "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
