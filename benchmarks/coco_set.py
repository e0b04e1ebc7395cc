"""A synthetic set as large as COCO: 118,287 images, 860,000 annotations, and a JSON file of COCO's size.

  python -m benchmarks.coco_set --out=FOLDER [--images=118287]

FOLDER/images has pictures of 480 x 640, no two of which have the same bytes or are links to one file; their content is
one of 2,000. FOLDER/instances.json has objects as COCO's: 7.27 an image in no order, 1 to 3 polygons whose corners
differ in number, and a hundredth of them crowds with run lengths.
"""

import argparse
import io
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks import pictures
from tfrecog.ops import rle

IMAGES, ANNOTATIONS = 118_287, 860_000
HEIGHT, WIDTH, CLASSES, CONTENTS, CROWDS, CORNERS = 480, 640, 80, 2000, 0.01, 18


def write(folder: Path, images: int) -> None:
    """Writes pictures and annotations, of fewer images as many for each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    contents = [_jpeg(seed) for seed in range(min(CONTENTS, images))]
    for number in range(images):
        (folder / "images" / _name(number)).write_bytes(_with_comment(contents[number % CONTENTS], str(number)))
    count, popular = round(images * ANNOTATIONS / IMAGES), rng.gamma(1.3, size=images)
    of_image = rng.choice(images, count, p=popular / popular.sum())
    with open(folder / "instances.json", "w") as file:
        categories = [{"supercategory": "thing", "id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)]
        file.write(f'{{"info": {{"year": 2017}}, "licenses": [], "categories": {json.dumps(categories)}, "images": ')
        file.write(json.dumps([_image(number) for number in range(images)]))
        file.write(', "annotations": [')
        for place, (number, image) in enumerate(zip(rng.permutation(count), of_image, strict=True)):
            file.write(", " * bool(place) + json.dumps(annotation(rng, int(image), int(number) + 1)))
        file.write("]}")


def _jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pictures.photo(HEIGHT, WIDTH, seed)).save(file, "jpeg", quality=75)
    return file.getvalue()


def _with_comment(jpeg: bytes, text: str) -> bytes:
    """A JPEG with a segment of a comment behind its first marker."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text.encode() + jpeg[2:]


def _name(number: int) -> str:
    return f"{number:012d}.jpg"


def _image(number: int) -> dict:
    return {
        "license": 3,
        "file_name": _name(number),
        "coco_url": f"http://images.example.org/train2017/{_name(number)}",
        "height": HEIGHT,
        "width": WIDTH,
        "date_captured": "2013-11-14 11:18:45",
        "flickr_url": f"http://farm9.example.org/8186/{number * 7919 % 10**10:010d}_cb859a700a_z.jpg",
        "id": number,
    }


def annotation(rng: np.random.Generator, image: int, number: int) -> dict:
    """An object of an image, as COCO's JSON has it."""
    parts = 1 + int(rng.random() < 0.1) + int(rng.random() < 0.03)
    half, shapes = np.exp(rng.uniform(np.log(6), np.log(140), 2)), []
    centre = rng.uniform([0, 0], [WIDTH, HEIGHT])
    for part in range(parts):
        corners = int(np.clip(rng.lognormal(np.log(CORNERS), 0.6), 4, 300))
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        reach = half / parts * rng.uniform(0.7, 1, (corners, 1))
        points = centre + 2.2 * part * half / parts + reach * np.stack([np.cos(angles), np.sin(angles)], -1)
        points = points.clip([0, 0], [WIDTH - 1, HEIGHT - 1]).round(2)
        sides = np.ptp(points, axis=0)
        if not shapes or (min(sides) > 3 and _area(points) > 0.5 * np.prod(sides)):  # not cut off by the border
            shapes.append(points)
    low, high = (bound([bound(points, 0) for points in shapes], 0) for bound in (np.min, np.max))
    polygons = [points.ravel().tolist() for points in shapes]
    crowd = bool(rng.random() < CROWDS)
    segmentation = polygons
    if crowd:
        runs, *_ = rle.from_coco(coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH)))
        segmentation = {"counts": runs.tolist(), "size": [HEIGHT, WIDTH]}
    return {
        "segmentation": segmentation,
        "area": round(float(sum(map(_area, shapes))), 4),
        "iscrowd": int(crowd),
        "image_id": image,
        "bbox": np.concatenate([low, np.maximum(high - low, 1)]).round(2).tolist(),
        "category_id": int(rng.integers(1, CLASSES + 1)),
        "id": number,
    }


def _area(points: np.ndarray) -> float:
    """Area inside a polygon [n, 2]."""
    x, y = points.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coco_set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    write(options.out, options.images)


if __name__ == "__main__":
    main()
