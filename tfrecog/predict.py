"""Shows what a run sees in pictures of any size.

python -m tfrecog.predict --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf

from tfrecog.cli import flags, out_of_memory, signals, validate
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import image
from tfrecog.data.detection import proposal_slots
from tfrecog.drawing import annotations
from tfrecog.evaluations import detection
from tfrecog.inference import classification, image_files, segmentation
from tfrecog.metrics import coco
from tfrecog.ops import rle
from tfrecog.proposals import methods as kinds
from tfrecog.runs import checkpoints, trained
from tfrecog.runs.flags import CHECKPOINT


@dataclasses.dataclass(frozen=True)
class Prediction(Experiment):
    """The flags of a run and of what is shown to it."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    images: Annotated[
        str,
        "Pictures: a pattern such as 'photos/*.jpg' (** for all folders below), a folder, a file, or several of these "
        "with commas between them. A photo that its camera marked as turned (EXIF) is turned upright first, and boxes "
        "are those of the upright photo.",
    ] = ""
    out: Annotated[
        str,
        "Folder for detections.json (predictions.json of a classifier or a segmenter), a picture (JPEG) of each image, "
        "and of a segmenter its label map (label_maps/*.png).",
    ] = ""
    min_score: Annotated[float, "Detections with a lower score are left out."] = 0.5
    draw_side: Annotated[
        int, "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never."
    ] = 400


def predict(task, model, strategy, prediction: Prediction, paths: list[Path]) -> dict[Path, str]:
    """Writes the detections in the images at `paths`, and a picture of each, to `prediction.out`.

    Where the detector reads proposals, they are made as those of the run's records were.

    Returns:
        The files that could not be read, with the reason.
    """
    out, categories = Path(prediction.out), task.info.categories
    pictures = image_files.picture_paths(paths, out)
    names = [category.name for category in categories]
    broken: dict[Path, str] = {}
    output = prediction.detector.output
    propose = kinds.of_words(task.info.proposals) if prediction.detector.proposals == "record" else None
    with detection.results_file(out) as write:
        for number, picture in image_files.legible(paths, broken):
            batch = batch_of(picture, prediction.data, propose(picture) if propose else None)
            (found,) = detection.detections(task, model, strategy, [batch], output, any_size=prediction.data.tight)
            rows = coco.results(number, categories, *found.instances)
            write(
                {"file_name": str(paths[number]), "category_name": names[label - 1], **row}
                for row, label in zip(rows, found.labels, strict=True)
            )
            masks = None if found.masks is None else [rle.decode(*rle.from_coco(mask)) for mask in found.masks]
            keypoints = None if found.keypoints is None else annotations.sure_keypoints(found.keypoints)
            seen = annotations.instances(
                picture, found.boxes, found.labels, found.scores, masks, keypoints, names,
                skeleton=task.info.skeleton, flip_pairs=task.info.flip_pairs, min_side=prediction.draw_side,
            )  # fmt: skip
            image_files.save(seen, pictures[number])
    return broken


def batch_of(picture: np.ndarray, data: DataConfig, proposals: np.ndarray | None = None) -> dict:
    """A batch of one picture [H, W, 3], resized and padded as for evaluation, with its proposals [P, 4] if given."""
    original = tf.constant(picture.shape[:2])
    size = image.target_size(original, data.eval_short_side, data.long_side, data.size_rounding)
    if data.tight:
        canvas = image.tight_canvas(size)
    else:
        canvases = image.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
        canvas = canvases[image.canvas_of(size, canvases)]
    batch = {
        "image": image.pad(image.resize(picture, size, data.resize), canvas),
        "size": size,
        "original_size": original,
        "scale": tf.cast(size, tf.float32) / tf.cast(original, tf.float32),
        "record": tf.constant(0, tf.int64),
        "image_id": tf.constant(0, tf.int64),
        "seed": tf.zeros([2], tf.int32),
        "valid": tf.constant(True),
    }
    if proposals is not None:
        batch |= proposal_slots(proposals * tf.tile(batch["scale"], [2]), data.max_proposals)
    return {name: value[None] for name, value in batch.items()}


def main(prediction: Prediction) -> None:
    """Predicts and reports; what the user can mend ends the program with a message."""
    if not prediction.out:
        sys.exit("error: --out: name a folder for the pictures, as in --out=SEEN")
    try:
        validate.check(prediction)
        output = dataclasses.replace(prediction.detector.output, min_score=prediction.min_score)
        detector = dataclasses.replace(prediction.detector, output=output)
        train = dataclasses.replace(prediction.train, replicas=1)
        prediction = dataclasses.replace(prediction, detector=detector, train=train)
        paths = image_files.find(prediction.images)
        segmentation.files(paths, Path(prediction.out))
        task, model, strategy, path, _ = trained.restore(prediction, prediction.checkpoint)
        print(f"Predicting with {path}", flush=True)
        written = "pictures"
        if prediction.task == "classification":
            results, side = classification.PREDICTIONS, prediction.draw_side
            broken = classification.predict(task, model, prediction, paths, Path(prediction.out), side)
        elif prediction.task == "segmentation":
            results, written = segmentation.PREDICTIONS, f"pictures, {segmentation.LABEL_MAPS}"
            broken = segmentation.predict(task, model, paths, Path(prediction.out), prediction.draw_side)
        else:
            results = detection.DETECTIONS
            broken = predict(task, model, strategy, prediction, paths)
            found = len(json.loads((Path(prediction.out) / results).read_text(encoding="utf-8")))
            print(f"{found} detections with a score of at least {prediction.min_score:g} (--min_score)")
    except (OSError, ValueError, checkpoints.CheckpointError, out_of_memory.OutOfMemory) as error:
        sys.exit(f"error: {error}")
    except tf.errors.ResourceExhaustedError as error:
        window = " Or a --segmenter.window." if prediction.task == "segmentation" else ""
        sys.exit(
            f"error: out of memory: {out_of_memory.reason(error)}\n"
            f"Use a smaller --data.eval_short_side or --data.long_side.{window}"
        )
    for path, reason in broken.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    done = len(paths) - len(broken)
    if not done:
        sys.exit(f"error: not one of {len(paths)} files could be read as an image")
    print(f"{done} of {len(paths)} images done: {written} and {results} are in {prediction.out}")


if __name__ == "__main__":
    with signals.told():
        main(flags.parse(Prediction()))
