"""Compares an exported model with the checkpoint that it was made from, on real images and on the validation records.

python -m export.verify --flagfile=RUN/experiment.flags --artefact=model.tflite --images='photos/*.jpg'

The exit status is 1 if they differ by more than the tolerances, and 2 if nothing can be compared. A SavedModel gets
pictures by its signatures image_tensor and serving_default in turn; int8 and full are judged by their accuracy
alone.
"""

import dataclasses
from typing import Annotated

from tfrecog.cli import command, files
from tfrecog.cli.errors import Status
from tfrecog.cli.facts import NonNegative, Range
from tfrecog.inference.flags import Images, Threads
from tfrecog.runs.flags import RunFlags

BY_KIND = -1.0  # of a tolerance's flag: that of the kind of artefact
_KINDS = "-1: 1e-5 for a SavedModel, 1e-4 for ONNX and TFLite in float32, 1e-2 in float16 and with dynamic ranges"
_TOLERANCE = Range(0, also=(BY_KIND,))


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of the comparison."""

    artefact: Annotated[
        str, "A TFLite or ONNX file, or the folder of a SavedModel (its newest version, or a version)."
    ] = ""
    images: Images = ""
    max_images: Annotated[
        int,
        "Images of data.eval_split on which AP (top-1, mean IoU) is measured, if data.records exists. 0: all.",
        NonNegative("images"),
    ] = 0
    out: Annotated[str, "Folder for verify.json. Empty: none."] = ""
    score_tolerance: Annotated[float, f"Tolerance of scores. {_KINDS}.", _TOLERANCE] = BY_KIND
    box_tolerance: Annotated[
        float,
        "Tolerance of boxes and keypoints, in pixels of the photo. -1: 0.01 for a SavedModel, 0.1 for ONNX and TFLite "
        "in float32, 0.5 in float16 and with dynamic ranges.",
        _TOLERANCE,
    ] = BY_KIND
    mask_tolerance: Annotated[float, "Tolerance of 1 - IoU of pasted masks. -1: by kind.", _TOLERANCE] = BY_KIND
    pixel_tolerance: Annotated[float, "Fraction of a label map's pixels that may differ. -1: by kind.", _TOLERANCE] = (
        BY_KIND
    )
    unmatched_tolerance: Annotated[
        float,
        "Fraction of the detections of both that may match none of the other within these tolerances. -1: 0.01 for a "
        "SavedModel, ONNX and TFLite in float32, 0.05 in float16 and with dynamic ranges.",
        _TOLERANCE,
    ] = BY_KIND
    ap_tolerance: Annotated[
        float,
        "Tolerance of AP (of int8: AP50), top-1 or mean IoU. -1: 0.001; float16 0.005, dynamic, full 0.01, int8 0.03.",
        _TOLERANCE,
    ] = BY_KIND
    threads: Threads = 0
    gpu: Annotated[
        bool, "Run a TFLite file on the GPU, as far as LiteRT's delegate takes it, and the rest on the CPU."
    ] = False


def main(flags: Flags) -> int:
    """Compares."""
    if flags.out:
        files.check(flags.out, f"--out={flags.out}")
    from .parity import verification

    given = {name: getattr(flags, f"{name}_tolerance") for name in ("score", "box", "mask", "pixel", "unmatched", "ap")}
    given = {name: value for name, value in given.items() if value != BY_KIND}
    return Status.DONE if verification.verify(flags, given) else Status.FAILED


if __name__ == "__main__":
    command.run(main, Flags(), required=("artefact", "images"))
