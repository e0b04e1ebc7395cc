"""The whole of an experiment, and the rules between its sections.

A leaf's flag is named by its path from `Experiment`: `--optim.learning_rate=0.02`. Facts beside a meaning are those of
`tfrecog.cli.facts`; a section's `conflicts` are the rules between its settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from tfrecog.cli.facts import Exported, For, Resumable
from tfrecog.config.classifier import SMALLEST_CROP, ClassifierConfig
from tfrecog.config.data import AugmentConfig, DataConfig
from tfrecog.config.detector.family import DetectorConfig
from tfrecog.config.segmenter import SegmenterConfig
from tfrecog.config.training import OptimConfig, ScheduleConfig, TrainConfig


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run."""

    task: Annotated[Literal["detection", "classification", "segmentation"], "What the model is trained for."] = (
        "detection"
    )
    workdir: Annotated[str, "Folder of the run: checkpoints, metrics, TensorBoard events.", Resumable()] = ""
    metrics: Annotated[
        Literal["auto", "coco", "voc", "both"],
        "Metrics of a detector: COCO's, Pascal VOC's (AP at IoU 0.5), or both. auto: both where the records mark "
        "difficult objects, else COCO's.",
        For("detection"),
        Resumable("evaluation"),
    ] = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    augment: Annotated[AugmentConfig, For("classification")] = field(default_factory=AugmentConfig)
    detector: Annotated[DetectorConfig, For("detection"), Exported()] = field(default_factory=DetectorConfig)
    classifier: Annotated[ClassifierConfig, For("classification"), Exported()] = field(default_factory=ClassifierConfig)
    segmenter: Annotated[SegmenterConfig, For("segmentation"), Exported()] = field(default_factory=SegmenterConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside those of other sections → why."""
        batch, options = self.data.batch_size, self.train
        if batch % options.accumulate_steps:
            yield "train.accumulate_steps", f"does not divide --data.batch_size={batch} into equal parts"
        if options.jit_compile and self.task == "detection":
            yield "train.jit_compile", "XLA has no kernels for some operations of a detector; leave it at false"
        for task, flag, norm in (
            ("segmentation", "segmenter.backbone.norm", self.segmenter.backbone.norm),
            ("classification", "classifier.norm", self.classifier.norm),
        ):
            if options.jit_compile and self.task == task and norm == "sync_batch":
                yield "train.jit_compile", f"not with --{flag}=sync_batch, which sums over the replicas"
        sides = {"data.short_side": min(self.data.short_side), "data.eval_short_side": self.data.eval_short_side}
        for flag, side in sides.items():
            if side == 0 and self.task != "segmentation":
                yield flag, "must be more than 0; only --task=segmentation can keep the size of images"
        if self.task == "classification":
            yield from self._conflicts_of_crops()

    def _conflicts_of_crops(self):
        """What a classifier cannot be shown."""
        name, crop, short = self.classifier.name, self.classifier.crop, self.data.eval_short_side
        if crop < SMALLEST_CROP.get(name, 1):
            yield "classifier.crop", f"{name} needs at least {SMALLEST_CROP[name]} pixels"
        elif crop > short:
            yield "classifier.crop", f"must not exceed --data.eval_short_side={short}, of which it is cut"
        if self.augment.crop == "scale" and min(self.data.short_side) < crop:
            yield "data.short_side", f"must not be less than --classifier.crop={crop}, which is cut of it"
        if self.augment.shift >= crop:
            yield "augment.shift", f"must be less than --classifier.crop={crop}, or nothing is left of the image"


def plain(options: Experiment) -> Experiment:
    """The experiment alone, of a command's flags that are one and more."""
    return Experiment(**{one.name: getattr(options, one.name) for one in fields(Experiment)})
