"""The proposals of a trained RPN for the images of a split."""

from pathlib import Path

import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.config import DetectorConfig, Experiment
from tfrecog.data import detection
from tfrecog.data.split import Split
from tfrecog.inference import predictor
from tfrecog.ops import to_original
from tfrecog.proposals import methods


class Proposer:
    """What a detector of a configuration says before its second stage."""

    def __init__(self, config: DetectorConfig):
        self.config = config

    def predict(self, model, batch: dict) -> dict:
        """boxes [B, P, 4] in pixels of the resized image, their objectness scores [B, P] in [0, 1], valid [B, P]."""
        features = model.extract(batch["image"], batch["size"])
        proposals, _ = model.propose(features, batch["image"], batch["size"], self.config.rpn.infer)
        boxes, valid, scores = proposals
        return {"boxes": boxes, "scores": tf.sigmoid(scores), "valid": valid}


def propose(model, experiment: Experiment, strategy: tf.distribute.Strategy, out: str | Path, source: str) -> list[int]:
    """Writes the proposals for all images of `experiment.data.eval_split`; returns their number for each image."""
    data = experiment.data
    split = Split.open(data.records, data.eval_split)
    size = predictor.batch_size(data.eval_batch_size, strategy)
    batches, proposer = detection.evaluation(data, split, size), Proposer(experiment.detector)
    found = {}
    with Bar(total=len(split), desc=f"propose for {data.eval_split}", starting="compiling") as progress:
        for said, facts in predictor.predict_batches(
            proposer, model, strategy, batches, any_size=data.pad_to_batch_max
        ):
            row, valid = int(facts["record"]), said["valid"]
            height, width = (int(side) for side in facts["original_size"])
            boxes = to_original.boxes(said["boxes"][valid], facts["scale"], facts["original_size"])
            found[row] = (_name(split, row), (height, width), boxes, said["scores"][valid])
            progress.update()
    images = [found[row] for row in sorted(found)]
    methods.save(out, images, source)
    return [len(boxes) for _, _, boxes, _ in images]


def _name(split: Split, row: int) -> str:
    """The source id of a record, or its file's name."""
    record = split.record(row)
    if not (record.source_id or record.filename):
        place = split.index.locate(row)
        raise UserError(f"{place} has no image/source_id and no image/filename to name its proposals by")
    return record.source_id or record.filename
