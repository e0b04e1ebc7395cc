"""Shows what a run sees in pictures of any size.

python -m tfrecog.predict --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import For, Fraction, NonNegative
from tfrecog.runs.flags import RunFlags


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of what is shown to it."""

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
    min_score: Annotated[float, "Detections with a lower score are left out.", Fraction(), For("detection")] = 0.5
    draw_side: Annotated[
        int,
        "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never.",
        NonNegative("pixels"),
    ] = 400


def main(flags: Flags) -> None:
    """Predicts and reports."""
    import tensorflow as tf

    from tfrecog.cli import out_of_memory
    from tfrecog.inference import classification, detection, image_files, result_files, segmentation
    from tfrecog.runs import trained

    output = dataclasses.replace(flags.detector.output, min_score=flags.min_score)
    detector = dataclasses.replace(flags.detector, output=output)
    flags = dataclasses.replace(flags, detector=detector, train=dataclasses.replace(flags.train, replicas=1))
    paths, out = image_files.find(flags.images), Path(flags.out)
    image_files.picture_paths(paths, out)  # Before the weights are read.
    if flags.task == "segmentation":
        result_files.files(paths, out)
    task, model, strategy, path, _ = trained.restore(flags, flags.checkpoint)
    print(f"Predicting with {path}", flush=True)
    results, written = result_files.PREDICTIONS, "pictures"
    try:
        if flags.task == "classification":
            broken = classification.predict(task, model, flags, paths, out, flags.draw_side)
        elif flags.task == "segmentation":
            broken, written = (
                segmentation.predict(task, model, paths, out, flags.draw_side),
                f"pictures, {result_files.LABEL_MAPS}",
            )
        else:
            results = result_files.DETECTIONS
            broken = detection.predict(task, model, strategy, flags, paths, out, flags.draw_side)
            found = len(json.loads((out / results).read_text(encoding="utf-8")))
            print(f"{found} detections with a score of at least {flags.min_score:g} (--min_score)")
    except tf.errors.ResourceExhaustedError as error:
        raise out_of_memory.in_prediction(error, flags.task) from error
    for path, reason in broken.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    done = len(paths) - len(broken)
    if not done:
        raise UserError(f"--images={flags.images}: not one of {len(paths)} files could be read as an image")
    print(f"{done} of {len(paths)} images done: {written} and {results} are in {out}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("images", "out"))
