"""AP, top-1 accuracy or mean IoU of several models at once on the records of a run, each seen through its own chain."""

from collections.abc import Callable

import numpy as np

from tfrecog.config import Experiment
from tfrecog.data import classification, image, info, segmentation
from tfrecog.data.split import Split
from tfrecog.inference.predictor import progress
from tfrecog.metrics import classification as top
from tfrecog.metrics import coco
from tfrecog.metrics import segmentation as iou
from tfrecog.ops import rle

Model = Callable[[np.ndarray], dict]

# What an accuracy is judged by, of each task.
MAIN = {
    "detection": ("box_AP", "box_AP50", "mask_AP", "mask_AP50", "keypoint_AP", "keypoint_AP50"),
    "classification": ("top1",),
    "segmentation": ("mean_iou", "pixel_accuracy"),
}


def why_not(experiment: Experiment, names: list[str]) -> str:
    """Why there is nothing to measure on, for an artefact of classes of these names; empty if there is."""
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
    experiment: Experiment, models: dict[str, Model], count: int, metadata: dict
) -> dict[str, dict[str, float]]:
    """Numbers by name of each model, on the first `count` images (0: all) of `data.eval_split`.

    Args:
        models: functions of a photo uint8 [H, W, 3], which say what `artefact.Artefact.predict` does.
        metadata: the artefact's metadata, for how masks are pasted.
    """
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    total = min(count or len(split), len(split))
    make = {"detection": _Detection, "classification": _Classification, "segmentation": _Segmentation}[experiment.task]
    measured = {name: make(experiment, split, metadata) for name in models}
    with progress(total, f"accuracy on {split.name}") as bar:
        for row in range(total):
            record = split.record(row)
            picture = image.decode(record.encoded).numpy()
            for name, model in models.items():
                measured[name].add(row, record, model(picture))
            bar.update()
    return {name: one.numbers() | {"images": total} for name, one in measured.items()}


class _Detection:
    def __init__(self, experiment, split, metadata):
        detector = experiment.detector
        sigmas = info.sigmas(split.folder) if detector.keypoints else ()
        self.dataset, self.metadata = split.info, metadata
        self.evaluator = coco.Evaluator(split.info.categories, masks=detector.masks, sigmas=sigmas)

    def add(self, row, record, outputs):
        masks = None
        size = record.height, record.width
        if "masks" in outputs:
            masks = rle.paste(
                outputs["masks"], outputs["boxes"], *size, self.metadata["mask_threshold"], self.metadata["paste"]
            )
        elif "pasted" in outputs:
            masks = [rle.encode(one) for one in outputs["pasted"]]
        if masks is not None:
            masks = [rle.to_coco(runs, *size) for runs in masks]
        boxes = np.round(outputs["boxes"].astype(float), 3)
        truth = self.dataset.relabel(record)
        self.evaluator.add(row, truth, boxes, outputs["labels"], outputs["scores"], masks, outputs.get("keypoints"))

    def numbers(self):
        return self.evaluator.summarize()[0]


class _Classification:
    def __init__(self, experiment, split, metadata):
        self.labels = classification.labels_of(split)
        self.evaluator = top.Evaluator(split.info.num_classes)

    def add(self, row, record, outputs):
        self.evaluator.add(int(self.labels[row]), outputs["scores"])

    def numbers(self):
        return self.evaluator.summarize()


class _Segmentation:
    def __init__(self, experiment, split, metadata):
        self.truth = lambda row: segmentation.truth(split, row)
        self.evaluator = iou.Evaluator(split.info.num_classes)

    def add(self, row, record, outputs):
        self.evaluator.add(self.truth(row), outputs["labels"])

    def numbers(self):
        return self.evaluator.summarize()
