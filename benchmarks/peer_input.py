"""The peer's side of input.py: torchvision's own way of feeding Mask R-CNN. Run by the interpreter PEER_PYTHON.

python peer_input.py IMAGES ANNOTATIONS.json

COCO annotations, `decode_jpeg`, masks as `pycocotools` draws them, transforms v2 (flip, resize, float), a DataLoader.
"""

import itertools
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask
from sides import CORES, serve
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

IMAGES = 128  # of a run


class Coco(torch.utils.data.Dataset):
    """`count` images with boxes, labels and masks: those of a folder, over and over."""

    def __init__(self, images, annotations, count, short=800, long=1333):
        tree = json.loads(Path(annotations).read_text())
        objects = defaultdict(list)
        for one in tree["annotations"]:
            if not one.get("iscrowd"):
                objects[one["image_id"]].append(one)
        self.images = list(itertools.islice(itertools.cycle(i for i in tree["images"] if objects[i["id"]]), count))
        self.folder, self.objects = Path(images), objects
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
        target["masks"] = tv_tensors.Mask(torch.from_numpy(np.stack([self.mask(one, *size) for one in objects])))
        return self.transform(tv_tensors.Image(pixels), target)

    @staticmethod
    def mask(annotation, height, width):
        runs = coco_mask.frPyObjects(annotation["segmentation"], height, width)
        return coco_mask.decode(runs if isinstance(runs, dict) else coco_mask.merge(runs))


def main():
    loader = torch.utils.data.DataLoader(
        Coco(*sys.argv[1:], IMAGES),
        batch_size=4,
        shuffle=True,
        num_workers=CORES,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        persistent_workers=True,
    )
    serve({"input, one image": lambda: sum(len(images) for images, _ in loader)})


if __name__ == "__main__":
    main()
