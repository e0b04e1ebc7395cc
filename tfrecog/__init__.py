"""Object recognition in TensorFlow and Keras: Faster R-CNN, Mask R-CNN and what led to them.

    model = tfrecog.load("runs/mine")
    model.predict("street.jpg").draw()

This import loads nothing else: TensorFlow comes with the first function that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tfrecog.api.models import Model
    from tfrecog.api.recipes import Recipe
    from tfrecog.api.results import ClassificationResult, DetectionResult, SegmentationResult
    from tfrecog.cli.errors import UserError
    from tfrecog.pipelines.build.shards import Built

    __version__: str

__all__ = [
    "ClassificationResult", "DetectionResult", "Model", "Recipe", "SegmentationResult", "UserError", "__version__",
    "load", "recipe", "write_records",
]  # fmt: skip
# Classes, for annotations and isinstance, and where they are.
_CLASSES = {
    "UserError": "cli.errors", "Model": "api.models", "Recipe": "api.recipes", "DetectionResult": "api.results",
    "ClassificationResult": "api.results", "SegmentationResult": "api.results",
}  # fmt: skip

_HERE = Path(__file__).resolve().parent
# Where pipelines, export and configs are: in this package if it was installed, beside it in a checkout, where they are
# found by the same names, tfrecog.pipelines and tfrecog.export.
HOME = _HERE if (_HERE / "configs").is_dir() else _HERE.parent
if HOME != _HERE:
    __path__.append(str(HOME))


def __getattr__(name: str) -> Any:
    """`__version__`, the classes of models and results, and `UserError`, which says what the caller can correct."""
    if name == "__version__":
        return version()
    if name in _CLASSES:
        from importlib import import_module

        return getattr(import_module(f"tfrecog.{_CLASSES[name]}"), name)
    raise AttributeError(f"module 'tfrecog' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def version() -> str:
    """Version of the installed package."""
    from importlib import metadata

    try:
        return metadata.version("tfrecog")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def load(
    source: str | Path,
    *,
    min_score: float | None = None,
    checkpoint: str = "latest",
    settings: Mapping[str, Any] | None = None,
    threads: int = 0,
    device: str = "",
) -> Model:
    """A trained model.

    Args:
        source: the folder of a run, that of a SavedModel of `export.saved_model` (or of one version), a TFLite file of
            `export.tflite`, an ONNX file of `export.onnx`, or the name of published weights, such as
            "maskrcnn_resnet50_fpn", which are downloaded once, or "starter", those of this package. TFLite and ONNX
            files need no TensorFlow.
        min_score: detections with a lower score are not found. None: 0.5, or that of an exported file if it is higher.
        checkpoint: of a run: "latest", "best", or a path.
        settings: of a run: other values of its settings, such as {"detector.output.max_detections": 300}.
        threads: of a TFLite or ONNX file. 0: as many as there are cores.
        device: "cpu", "gpu" (every GPU), or one such as "gpu:1", for the whole process: choose with the first model.
            "": every GPU, or the CPU where there is none.

    Raises:
        UserError: the source is none of these, is damaged, or was written by another version.
    """
    from tfrecog.api import loading

    return loading.load(source, min_score, checkpoint, settings, threads, device)


def recipe(name: str | Path, settings: Mapping[str, Any] | None = None) -> Recipe:
    """A training by its recipe: `tfrecog.recipe("coco/mask_rcnn_r50_fpn").train("runs/mine", "data")`.

    Args:
        name: of a recipe of this library, or a flagfile: a run's experiment.flags repeats it.
        settings: other values of its settings, such as {"schedule.epochs": 5}.

    Raises:
        UserError: there is no such recipe or setting, or a value cannot be.
    """
    from tfrecog.api import recipes

    return recipes.recipe(name, settings)


def write_records(
    samples: Iterable[Mapping[str, Any]],
    classes: Sequence[str],
    out: str | Path,
    split: str = "train",
    *,
    keypoints: Sequence[str] = (),
    flip_pairs: Sequence[str] = (),
    skeleton: Sequence[tuple[int, int]] = (),
    orientation: Literal["auto", "file", "upright"] = "auto",
    jobs: int = 1,
    strict: bool = False,
    max_left_out: float = 0.5,
) -> Built:
    """Writes a split of a data set from what a program has.

    Args:
        samples: a mapping for each picture, with `picture` (the name of a file, bytes of one, an image of Pillow, or
            an array uint8 [H, W, 3]), maybe `name`, and one of

            - `boxes` [n, 4] (y1, x1, y2, x2 in continuous pixels) with `labels` [n], and where there are any `masks`
              [n] (bool [H, W], or COCO's run lengths), `keypoints` [n, J, 3] (y, x, visibility as in COCO; continuous
              pixels) and `crowd` [n]; without boxes the picture has no objects;
            - `label`, the class of the picture;
            - `label_map` [H, W], the class of each pixel, 0 where none counts.

            A class is its name, or its label 1..K. Pictures in memory are written to the disk one by one.
        classes: names of the classes, in the order of their labels.
        out: folder of the data set; other splits may be there.
        split: "train", "val", or another name.
        keypoints: names of the keypoints.
        flip_pairs: of keypoints, as "left:right"; (): those whose names say so.
        skeleton: pairs of positions in `keypoints`, to draw.
        orientation: what EXIF data of files mean: see `--orientation` of the pipelines.
        jobs: processes; more than one need a program that is guarded by `if __name__ == "__main__"`.
        strict: any problem is an error.
        max_left_out: of the objects, the largest share that may be left out.

    Returns:
        `split`, the counts of what was written, and `problems`, each with its remedy, which are also in
        OUT/SPLIT.report.jsonl.

    Raises:
        UserError: a sample has not this form, no picture can be used, or more objects than `max_left_out` cannot.
    """
    from tfrecog.api import commands
    from tfrecog.api.settings import named_as_arguments

    write = commands.module("pipelines.formats.samples").write
    options = {"keypoints": keypoints, "flip_pairs": flip_pairs, "skeleton": skeleton, "orientation": orientation}
    with named_as_arguments():
        return write(samples, classes, out, split, **options, jobs=jobs, strict=strict, max_left_out=max_left_out)
