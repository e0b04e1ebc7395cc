"""Shows what a run sees in pictures of any size.

python -m tfrecog.predict --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN
"""

import dataclasses
import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from tqdm import tqdm

from tfrecog import atomic, checkpoints, draw, evaluate, flagged, interruption, limits
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import image
from tfrecog.metrics import coco, rle

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
LARGEST = 65500  # side of a JPEG


@dataclasses.dataclass(frozen=True)
class Prediction(Experiment):
    """The flags of a run and of what is shown to it."""

    checkpoint: Annotated[str, evaluate.CHECKPOINT] = "latest"
    images: Annotated[
        str,
        "Pictures: a pattern such as 'photos/*.jpg' (** for all folders below), a folder, a file, or several of these "
        "with commas between them. A photo that its camera marked as turned (EXIF) is turned upright first, and boxes "
        "are those of the upright photo.",
    ] = ""
    out: Annotated[str, "Folder for detections.json and a picture (JPEG) of each image with its detections."] = ""
    min_score: Annotated[float, "Detections with a lower score are left out."] = 0.5
    draw_side: Annotated[
        int, "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never."
    ] = 400


def predict(task, model, strategy, prediction: Prediction, paths: list[Path]) -> dict[Path, str]:
    """Writes the detections in the images at `paths`, and a picture of each, to `prediction.out`.

    Returns:
        The files that could not be read, with the reason.
    """
    out, categories = Path(prediction.out), task.info.categories
    pictures = picture_paths(paths, out)
    names = [category.name for category in categories]
    broken = {}

    def legible() -> Iterator[tuple[int, np.ndarray]]:
        for number, path in enumerate(tqdm(paths, desc="predict", unit=" images")):
            try:
                yield number, load(path)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                broken[path] = str(error) or type(error).__name__

    threshold = prediction.detector.output.mask_threshold
    with evaluate.results_file(out) as write:
        for number, picture in legible():
            batch = batch_of(picture, prediction.data)
            (found,) = evaluate.detections(task, model, strategy, [batch], threshold)
            rows = coco.results(number, categories, *found.instances)
            write(
                {"file_name": str(paths[number]), "category_name": names[label - 1], **row}
                for row, label in zip(rows, found.labels, strict=True)
            )
            masks = None if found.masks is None else [rle.decompress(mask) for mask in found.masks]
            seen = draw.instances(
                picture, found.boxes, found.labels, found.scores, masks, names=names, min_side=prediction.draw_side
            )
            drawn = Image.fromarray(seen)
            drawn.thumbnail((LARGEST, LARGEST))
            with atomic.write(pictures[number], "wb") as file:
                drawn.save(file, "JPEG", quality=92)
    return broken


def load(path: Path) -> np.ndarray:
    """Image uint8 [H, W, 3] of a file, upright; OSError if it is none or is damaged."""
    with Image.open(path) as picture:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255.
            picture = Image.fromarray((np.asarray(picture) / 256).clip(0, 255).astype(np.uint8))
        return np.asarray(picture.convert("RGB"))


def batch_of(picture: np.ndarray, data: DataConfig) -> dict:
    """A batch of one picture [H, W, 3], resized and padded as for evaluation."""
    original = tf.constant(picture.shape[:2])
    size = image.target_size(original, data.eval_short_side, data.long_side)
    canvases = image.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
    canvas = canvases[image.canvas_of(size, canvases)]
    batch = {
        "image": image.pad(image.resize(picture, size), canvas),
        "size": size,
        "original_size": original,
        "scale": tf.cast(size, tf.float32) / tf.cast(original, tf.float32),
        "record": tf.constant(0, tf.int64),
        "image_id": tf.constant(0, tf.int64),
        "seed": tf.zeros([2], tf.int32),
        "valid": tf.constant(True),
    }
    return {name: value[None] for name, value in batch.items()}


def find(images: str) -> list[Path]:
    """Files that a pattern, a folder, a file, or several of these with commas between them name, each once."""
    parts = [images] if os.path.exists(images) else [part.strip() for part in images.split(",") if part.strip()]
    paths: dict[Path, None] = {}
    for part in parts:
        part = os.path.expanduser(part)
        if os.path.isdir(part):
            found = [path for path in sorted(Path(part).iterdir()) if path.suffix.lower() in SUFFIXES]
            missing = f"the folder {part} has no file that ends in {', '.join(sorted(SUFFIXES))}"
        else:
            names = [part] if os.path.exists(part) else sorted(glob.glob(part, recursive=True))
            found = [Path(name) for name in names if os.path.isfile(name)]
            missing = f"no file is named {part!r} or matches it (looked from {os.getcwd()})"
        if not found:
            raise FileNotFoundError(f"--images: {missing}")
        paths |= dict.fromkeys(found)
    if not paths:
        raise FileNotFoundError("--images: name the pictures, as in --images='photos/*.jpg'")
    return list(paths)


def picture_paths(paths: list[Path], out: Path) -> list[Path]:
    """Where the picture of each image goes: its place below the folder that all have in common, as a JPEG."""
    common = os.path.commonpath([path.resolve().parent for path in paths])
    below = [path.resolve().relative_to(common) for path in paths]
    plain = [path.with_suffix(".jpg") for path in below]
    # a.png and a.jpg would be one picture, so they become a.png.jpg and a.jpg.jpg.
    pictures = [
        out / (path.with_name(path.name + ".jpg") if plain.count(short) > 1 else short)
        for path, short in zip(below, plain, strict=True)
    ]
    images = {path.resolve() for path in paths}
    overwritten = next((picture for picture in pictures if picture.resolve() in images), None)
    if overwritten:
        raise ValueError(
            f"--out={out}: {overwritten} is one of the images and would be overwritten; choose another folder"
        )
    return pictures


def main(prediction: Prediction) -> None:
    """Predicts and reports; what the user can mend ends the program with a message."""
    if not prediction.out:
        sys.exit("error: --out: name a folder for the pictures, as in --out=SEEN")
    output = dataclasses.replace(prediction.detector.output, min_score=prediction.min_score)
    detector = dataclasses.replace(prediction.detector, output=output)
    train = dataclasses.replace(prediction.train, replicas=1)
    prediction = dataclasses.replace(prediction, detector=detector, train=train)
    try:
        limits.check(prediction)
        paths = find(prediction.images)
        picture_paths(paths, Path(prediction.out))
        task, model, strategy, path, _ = evaluate.restore(prediction, prediction.checkpoint)
        print(f"Predicting with {path}", flush=True)
        broken = predict(task, model, strategy, prediction, paths)
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    except tf.errors.ResourceExhaustedError as error:
        sys.exit(
            f"error: out of memory: {evaluate.reason(error)}\nUse a smaller --data.eval_short_side or --data.long_side."
        )
    for path, reason in broken.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    done = len(paths) - len(broken)
    if not done:
        sys.exit(f"error: not one of {len(paths)} files could be read as an image")
    print(f"{done} of {len(paths)} images done: pictures and detections.json are in {prediction.out}")


if __name__ == "__main__":
    with interruption.told():
        main(flagged.parse(Prediction()))
