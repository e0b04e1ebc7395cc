"""Detections of a model in images, in pixels of the original image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.config import DataConfig, Experiment, OutputConfig
from tfrecog.data import image as images
from tfrecog.data.detection import proposal_slots
from tfrecog.drawing import annotations
from tfrecog.inference import image_files, predictor
from tfrecog.inference.result_files import DETECTIONS, results_file
from tfrecog.metrics import coco_rows
from tfrecog.ops import rle, to_original
from tfrecog.proposals import methods

WRITTEN = f"pictures and {DETECTIONS}"


@dataclass(frozen=True)
class Detections:
    """Detections in an image, in pixels of the original image; best first."""

    image_id: int
    record: int  # row of the index, or of the list of images
    size: tuple[int, int]  # height, width
    boxes: np.ndarray  # float64 [n, 4], to the thousandth of a pixel
    labels: np.ndarray  # int32 [n], 1..K
    scores: np.ndarray  # float32 [n]
    masks: list[dict] | None  # [n] compressed run lengths, see `rle.to_coco`
    keypoints: np.ndarray | None = None  # float64 [n, J, 3]: y, x to the thousandth of a pixel, score

    @property
    def instances(self):
        """Boxes, labels, scores, masks and keypoints."""
        return self.boxes, self.labels, self.scores, self.masks, self.keypoints


def in_original(output: dict, image: dict, config: OutputConfig) -> Detections:
    """The filled slots of one image's output, moved from the resized to the original image; masks as run lengths."""
    filled = output["labels"] > 0
    height, width = map(int, image["original_size"])
    boxes = to_original.boxes(output["boxes"][filled], image["scale"], image["original_size"])
    masks = None
    if "masks" in output:
        pasted = rle.paste(output["masks"][filled], boxes, height, width, config.mask_threshold, config.paste)
        masks = [rle.to_coco(runs, height, width) for runs in pasted]
    keypoints = None
    if "keypoints" in output:
        keypoints = to_original.keypoints(output["keypoints"][filled].astype(float), image["scale"])
        keypoints[..., :2] = np.round(keypoints[..., :2], 3)
    return Detections(
        image_id=int(image["image_id"]),
        record=int(image["record"]),
        size=(height, width),
        # Rounded as in the file, so that the file gives the same numbers when it is evaluated.
        boxes=np.round(boxes.astype(float), 3),
        labels=output["labels"][filled],
        scores=output["scores"][filled],
        masks=masks,
        keypoints=keypoints,
    )


def detections(task, model, strategy, batches: Iterable[dict], output: OutputConfig, **options) -> Iterator[Detections]:
    """Yields the detections in each valid image of `batches`, in its own pixels; `options` are those of
    `predictor.predict_batches`."""
    for outputs, facts in predictor.predict_batches(task, model, strategy, batches, **options):
        yield in_original(outputs, facts, output)


def files(paths: list[Path], out: Path) -> tuple[list[Path]]:
    """Where the picture of each image goes; UserError if one would overwrite an image."""
    return (image_files.picture_paths(paths, out),)


def predict(
    task, model, strategy, experiment: Experiment, paths: list[Path], out: Path, min_side: int = 0
) -> dict[Path, str]:
    """Writes the detections in the images at `paths`, and a picture of each, to the folder `out`; prints how many.

    Where the detector reads proposals, they are made as those of the run's records were.

    Args:
        min_side: smaller pictures are enlarged by a whole factor, for drawing only.

    Returns:
        The files that could not be read, with the reason.
    """
    categories = task.info.categories
    (pictures,), count = files(paths, out), 0
    names = [category.name for category in categories]
    broken: dict[Path, str] = {}
    output = experiment.detector.output
    propose = methods.of_words(task.info.proposals) if experiment.detector.proposals == "record" else None
    with results_file(out) as write:
        for number, picture in image_files.legible(paths, broken):
            batch = batch_of(picture, experiment.data, propose(picture) if propose else None)
            (found,) = detections(task, model, strategy, [batch], output, any_size=experiment.data.pad_to_batch_max)
            rows = coco_rows.results(number, categories, *found.instances)
            count += len(rows)
            write(
                {"file_name": str(paths[number]), "category_name": names[label - 1], **row}
                for row, label in zip(rows, found.labels, strict=True)
            )
            masks = None if found.masks is None else [rle.decode(*rle.from_coco(mask)) for mask in found.masks]
            keypoints = None if found.keypoints is None else annotations.sure_keypoints(found.keypoints)
            seen = annotations.instances(
                picture, found.boxes, found.labels, found.scores, masks, keypoints, names,
                skeleton=task.info.skeleton, flip_pairs=task.info.flip_pairs, min_side=min_side,
            )  # fmt: skip
            image_files.save(seen, pictures[number])
    print(f"{count} detections with a score of at least {output.min_score:g}")
    return broken


def batch_of(picture: np.ndarray, data: DataConfig, proposals: np.ndarray | None = None) -> dict:
    """A batch of one picture [H, W, 3], resized and padded as for evaluation, with its proposals [P, 4] if given."""
    original = tf.constant(picture.shape[:2])
    size = images.target_size(original, data.eval_short_side, data.long_side, data.size_rounding)
    if data.pad_to_batch_max:
        canvas = images.tight_canvas(size)
    else:
        canvases = images.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
        canvas = canvases[images.canvas_of(size, canvases)]
    batch = {
        "image": images.pad(images.resize(picture, size, data.resize), canvas),
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
