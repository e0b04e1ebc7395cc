"""What a classifier sees in pictures of any size: predictions.json, and pictures with the best classes written on."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from tfrecog import atomic, draw, photos
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import image

PREDICTIONS, BEST = "predictions.json", 5


def predict(task, model, experiment: Experiment, paths: list[Path], out: Path, min_side: int = 0) -> dict[Path, str]:
    """Writes the most probable classes of the images at `paths`, and a picture of each, to the folder `out`.

    A row of predictions.json has `file_name` and `classes`, the best five with `category_id`, `category_name` and
    `probability`.

    Args:
        min_side: smaller pictures are enlarged by a whole factor, for drawing only.

    Returns:
        The files that could not be read, with the reason.
    """
    probabilities_of = tf.function(lambda batch: task.predict(model, {"image": batch})["probabilities"])
    pictures, broken, rows = photos.picture_paths(paths, out), {}, []
    for number, picture in photos.legible(paths, broken):
        seen = input_of(picture, experiment.data, experiment.classifier.crop)
        probabilities = probabilities_of(tf.constant(seen[None]))[0].numpy()
        best = [(task.info.categories[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:BEST]]
        rows.append({"file_name": str(paths[number]), "classes": [_row(*one) for one in best]})
        lines = [f"{category.name}: {probability:.1%}" for category, probability in best]
        photos.save(written_on(picture, lines, min_side), pictures[number])
    with atomic.write(out / PREDICTIONS) as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    return broken


def _row(category, probability):
    return {"category_id": category.id, "category_name": category.name, "probability": round(probability, 6)}


def input_of(picture: np.ndarray, data: DataConfig, crop: int) -> np.ndarray:
    """What a classifier sees of a picture uint8 [H, W, 3]: its middle, resized, [crop, crop, 3] float32 in 0..255.

    Its short side becomes `data.eval_short_side` pixels, the long one as many as torchvision's transforms give it.
    """
    return image.middle(picture, data.eval_short_side, crop, data.resize).numpy()


def written_on(picture: np.ndarray, lines: list[str], min_side: int = 0) -> np.ndarray:
    """Picture uint8 [H, W, 3] with lines of text in its upper left corner, the first of them largest.

    A picture with a shorter side than `min_side` is enlarged by a whole factor, to ten times `min_side` at most.
    """
    height, width = picture.shape[:2]
    factor = draw.enlargement(height, width, min_side)
    drawn = Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1))
    canvas = ImageDraw.Draw(drawn, "RGBA")
    y = margin = max(2, min(drawn.size) // 100)
    for i, line in enumerate(lines):
        font = ImageFont.load_default(max(10, round(min(drawn.size) / (18 if i == 0 else 26))))
        step = round(font.size * 1.25)
        canvas.rectangle((0, y, font.getlength(line) + 2 * margin, y + step), fill=(0, 0, 0, 150))
        canvas.text((margin, y + step / 2), line, "white", font, anchor="lm")
        y += step
    return np.asarray(drawn)
