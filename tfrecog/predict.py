"""Shows what a run sees in pictures of any size.

python -m tfrecog.predict --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN [--format=coco]
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import For, Fraction
from tfrecog.inference.flags import MIN_SCORE, DrawSide, FontFile, Images, Results
from tfrecog.runs.flags import RunFlags


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of what is shown to it."""

    images: Images = ""
    out: Results = ""
    min_score: Annotated[float, "Detections with a lower score are left out.", Fraction(), For("detection")] = MIN_SCORE
    draw_side: DrawSide = 400
    font: FontFile = ""
    format: Annotated[
        Literal["", "coco", "yolo", "labelme"],
        "Detections also as annotations, to be corrected with a tool: OUT/instances.json, OUT/yolo, or OUT/labelme.",
        For("detection"),
    ] = ""


def main(flags: Flags) -> None:
    """Predicts and reports."""
    from tfrecog import tasks
    from tfrecog.api import models
    from tfrecog.drawing import fonts
    from tfrecog.inference import annotations, image_files

    paths, out, inference = (
        image_files.find(flags.images, out=flags.out),
        Path(flags.out),
        tasks.of(flags.task).inference,
    )
    inference.files(paths, out)  # Whether they can be written, before the weights are read.
    also = annotations.Annotations(flags.format, paths, out) if flags.format else None
    model = models.RunModel(flags, flags.checkpoint, flags.min_score)
    print(f"Predicting with {model.checkpoint}", flush=True)
    broken: dict[Path, str] = {}
    seen = image_files.legible(paths, broken, model.info.reading)
    images = ((number, picture, model.see(picture)) for number, picture in seen)
    if also:
        images = also.written(images, model.info, flags.detector)
    with fonts.preferred(flags.font):
        detections = inference.write(model.info, paths, out, images, flags.draw_side)
    done = image_files.report_broken(paths, broken)
    if detections is not None:
        print(f"{detections} detections with a score of at least {flags.min_score:g}")
    print(f"{done} of {len(paths)} images done: {inference.WRITTEN} are in {out}")
    if also:
        print(f"Annotations in the format {flags.format} are in {also.out}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("images", "out"))
