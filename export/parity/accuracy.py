"""AP, top-1 accuracy or mean IoU of several models at once on the records of a run, each seen through its own chain."""

from collections.abc import Callable, Iterator

import numpy as np

from tfrecog.cli.progress import Bar
from tfrecog.config import Experiment
from tfrecog.data import classification, image, keypoint_sigmas, segmentation
from tfrecog.data.split import Split
from tfrecog.inference.result_files import Detections
from tfrecog.metrics import classification as top
from tfrecog.metrics import coco
from tfrecog.metrics import segmentation as iou

from . import compare

# What an accuracy is judged by, of each task.
MAIN = {
    "detection": ("box_AP", "box_AP50", "mask_AP", "mask_AP50", "keypoint_AP", "keypoint_AP50"),
    "classification": ("top1",),
    "segmentation": ("mean_iou", "pixel_accuracy"),
}


def why_not(experiment: Experiment, names: list[str]) -> str:
    """Why there is nothing to measure on, for a model of classes of these names; empty if there is."""
    if not experiment.data.records:
        return "no --data.records"
    try:
        split = Split.open(experiment.data.records, experiment.data.eval_split)
    except (OSError, ValueError) as error:
        return str(error)
    if list(split.info.names) != names:
        return f"the records in {split.folder} have other classes"
    return "" if len(split) else f"split {split.name!r} of {split.folder} is empty"


def measure(
    experiment: Experiment, models: dict[str, Callable[[np.ndarray], dict]], count: int
) -> dict[str, dict[str, float]]:
    """Numbers by name of each model, on the first `count` images (0: all) of `data.eval_split`.

    Args:
        models: functions of a photo uint8 [H, W, 3] to its outputs, as `artifact.canvas_model.CanvasModel.predict` is.
    """
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    scorers = {name: _scorer(experiment, split) for name in models}
    images = 0
    for row, picture in pictures(split, count):
        for name, model in models.items():
            add, _ = scorers[name]
            add(row, model(picture))
        images += 1
    return {name: numbers() | {"images": images} for name, (_, numbers) in scorers.items()}


def pictures(split: Split, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows and pictures uint8 [H, W, 3] of the first `count` images (0: all) of a split, beside a bar."""
    total = min(count or len(split), len(split))
    with Bar(total=total, desc=f"accuracy on {split.name}", starting="compiling") as bar:
        for row in range(total):
            yield row, image.decode(split.record(row).encoded).numpy()
            bar.update()


def _scorer(experiment, split) -> tuple[Callable[[int, dict], object], Callable[[], dict]]:
    """A function that adds the outputs of a row of a split, and one of the numbers of all."""
    if experiment.task == "classification":
        labels, tops = classification.labels_of(split), top.Evaluator(split.info.num_classes)
        return lambda row, outputs: tops.add(int(labels[row]), outputs["scores"]), tops.summarize
    if experiment.task == "segmentation":
        ious = iou.Evaluator(split.info.num_classes)
        return lambda row, outputs: ious.add(segmentation.truth(split, row), outputs["labels"]), ious.summarize
    detector = experiment.detector
    sigmas = keypoint_sigmas.of(split.folder) if detector.keypoints else ()
    evaluator = coco.Evaluator(split.info.categories, detector.masks, sigmas, detector.output.max_detections)

    def add(row, outputs):
        truth = split.truth(row)
        evaluator.add(row, truth, *Detections.of(outputs, (truth.height, truth.width)).instances)

    return add, lambda: evaluator.summarize()[0]


def table(numbers: dict, task: str, kind: str, limit: float) -> list[dict]:
    """Rows of the table: each number of both, the exported model's against the checkpoint's on the same pixels."""
    own, other = numbers[next(reversed(numbers))], numbers["artefact"]
    rows = []
    for name in MAIN[task]:
        if name in own:
            judged = kind != "int8" or task != "detection" or name.endswith("AP50")
            each = {side: values[name] for side, values in numbers.items()}
            rows.append(compare.row(name, abs(own[name] - other[name]), limit if judged else None) | {"each": each})
    return rows
