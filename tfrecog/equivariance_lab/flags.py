"""The flags of the laboratory."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from tfrecog.cli.facts import For, Fraction, NonNegative, Positive, Range, Unless, When
from tfrecog.config import Experiment
from tfrecog.runs.flags import CHECKPOINT

Name = Literal[
    "translation", "rotation", "scale", "deformation", "brightness", "contrast", "saturation", "noise", "occlusion",
    "context",
]  # fmt: skip


@dataclass(frozen=True)
class Strengths:
    """How far each variation goes; of scale, contrast and saturation 1 is no change, of the others 0."""

    translation: Annotated[tuple[float, ...], "To the right.", NonNegative("pixels")] = (0.25, 0.5, 1, 2, 4, 8, 16, 32)
    rotation: Annotated[tuple[float, ...], "Anticlockwise, about the middle.", Range(0, 180, "degrees")] = (
        2, 5, 10, 20, 45
    )  # fmt: skip
    scale: Annotated[tuple[float, ...], "Factors, about the middle.", Range(0.05, 20)] = (0.5, 0.7, 0.9, 1.1, 1.4, 2)
    deformation: Annotated[tuple[float, ...], "Largest local stretch, by smooth waves.", Range(0, 0.9)] = (
        0.1, 0.2, 0.4, 0.8
    )  # fmt: skip
    brightness: Annotated[tuple[float, ...], "Fractions of the range of values that are added.", Range(-1, 1)] = (
        0.05, 0.1, 0.2, 0.4
    )  # fmt: skip
    contrast: Annotated[tuple[float, ...], "Factors of the difference from the mean.", NonNegative()] = (
        0.2, 0.4, 0.7, 1.5
    )  # fmt: skip
    saturation: Annotated[tuple[float, ...], "Factors of the difference from gray.", NonNegative()] = (0, 0.5, 1.5, 2)
    noise: Annotated[tuple[float, ...], "Standard deviations.", Range(0, 255, "gray levels of 255")] = (4, 8, 16, 32)
    occlusion: Annotated[
        tuple[float, ...],
        "Fractions that are covered: of each object's box, or of the image where there are no boxes.",
        Fraction(),
    ] = (0.1, 0.2, 0.4, 0.6)
    context: Annotated[
        tuple[float, ...],
        "Fractions of another image in what is around the objects' boxes, or around the middle where there are none.",
        Fraction(),
    ] = (0.25, 0.5, 0.75, 1)


_ALONE = When("experiment", "variations")
_OF_IMAGES = When("experiment", "variations", "rois")


@dataclass(frozen=True)
class Flags(Experiment):
    """The flags of a run and of the laboratory."""

    experiment: Annotated[
        Literal["variations", "rois", "ends", "ramp", "parts"],
        "What to measure: `variations` of images; `rois`, those of a detector's own detections, moved while the image "
        "stays; `ends`, how far from the ends of the first image a segmenter's logits follow shifts; `ramp`, the rois "
        "of RoIAlign and RoIPool, moved on a ramp, whose error is in pixels; `parts`, shifts of the input of single "
        "parts, such as a convolution or a pooling. The last two need no run, nor images.",
    ] = "variations"
    checkpoint: Annotated[str, CHECKPOINT + " Or `random`: as it would start to learn."] = "latest"
    images: Annotated[
        str,
        "Photos, as of tfrecog.predict. Empty: the images of --data.eval_split in --data.records, with accuracy.",
        Unless("experiment", "ramp", "parts"),
    ] = ""
    max_images: Annotated[
        int, "Number of images to measure, from the first on.", Positive("images"), _OF_IMAGES
    ] = 16  # fmt: skip
    out: Annotated[str, "Folder for results.csv, results.json, curves, pictures and TensorBoard's events."] = ""
    variations: Annotated[tuple[Name, ...], "Variations to apply.", _ALONE] = get_args(Name)
    strength: Annotated[Strengths, _ALONE] = field(default_factory=Strengths)
    layers: Annotated[
        bool,
        "Measure the maps of the backbone (of a detector: of its neck) too, and what a classifier pools of them.",
        _ALONE,
    ] = False
    margin: Annotated[
        int,
        "Border of the maps to ignore, such as half of the field of view, where padding is seen.",
        NonNegative("pixels"),
        _ALONE,
    ] = 0
    floors: Annotated[
        bool, "Measure the effect of the interpolation alone; off, it takes half of the time.", _ALONE
    ] = True  # fmt: skip
    min_score: Annotated[
        float, "Detections with a lower score are only used for AP50.", Fraction(), For("detection"), _OF_IMAGES
    ] = 0.5  # fmt: skip
    proposals: Annotated[
        Literal["made", "moved"],
        "Of a detector without an RPN: made of each changed image, as those of the run's records were (which takes the "
        "time of selective search); or those of the records, moved as what is in the image, so that the network alone "
        "is measured.",
        For("detection"),
        When("detector.proposals", "record"),
        _OF_IMAGES,
    ] = "made"
    shift: Annotated[
        tuple[int, ...], "How far the image is shifted.", Positive("pixels"), When("experiment", "ends")
    ] = (32, 16, 1)  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        yield from super().conflicts()
        for one in dataclasses.fields(Strengths):
            if one.name not in self.variations and getattr(self.strength, one.name) != one.default:
                yield f"strength.{one.name}", f"nothing reads it, for --variations leaves {one.name} out"
        if self.experiment == "rois" and self.task != "detection":
            yield "experiment", f"--task={self.task} has no rois; name the flags of a detector's run"
        if self.experiment == "ends" and self.task != "segmentation":
            yield (
                "experiment",
                f"--task={self.task} has no output for every pixel; name the flags of a segmenter's run, or measure "
                "--variations=translation, which is for every task",
            )
        if self.task == "detection" and self.detector.pool == "warp" and self.layers:
            yield "layers", "--detector.pool=warp cuts rois out of the image, and has no map to look at"
        if self.proposals == "moved" and self.images:
            yield "proposals", "photos have no proposals to move; leave --images out, for the records"
