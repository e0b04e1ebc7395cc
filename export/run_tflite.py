"""Predicts with a TFLite file on pictures of any size, and measures it, as on a device: without TensorFlow.

python -m export.run_tflite --model=model.tflite --images='photos/*.jpg' --out=SEEN

needs ai-edge-litert, NumPy, Pillow, absl-py and tqdm. Its files have the form of tfrecog.predict's.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Fraction, NonNegative, Range, Unless
from tfrecog.inference.flags import MIN_SCORE, DrawSide, FontFile, Images, Results

THREADS = 256  # at most; a machine runs out of them at some thousands


@dataclasses.dataclass(frozen=True)
class Flags:
    """The flags of a run of a TFLite file."""

    model: Annotated[str, "The TFLite file, of python -m export.tflite."] = ""
    images: Images = ""
    out: Results = ""
    min_score: Annotated[float, "Detections with a lower score are left out.", Fraction(), Unless(".out", "")] = (
        MIN_SCORE
    )
    threads: Annotated[int, "Threads of the interpreter. 0: as many as there are cores.", Range(0, THREADS)] = 0
    draw_side: Annotated[DrawSide, Unless(".out", "")] = 400
    font: Annotated[FontFile, Unless(".out", "")] = ""
    repeat: Annotated[int, "Benchmark: runs on the first image, after a warm-up. 0: none.", NonNegative("runs")] = 0
    json: Annotated[str, "File for the numbers of --repeat.", Unless(".repeat", 0)] = ""


def main(flags: Flags) -> None:
    """Predicts, draws and measures."""
    from tfrecog.api import loading
    from tfrecog.drawing import fonts
    from tfrecog.inference import forms, image_files, result_files

    from .litert import benchmark, reader

    if not flags.out and not flags.repeat:
        raise UserError("--out: name a folder for the pictures, as in --out=SEEN; or measure with --repeat=50")
    out = Path(flags.out).expanduser()
    fonts.check(flags.font, "--font")
    paths = image_files.find(flags.images, out=flags.out and out)
    lite = reader.LiteModel(flags.model, flags.threads)
    model = loading.of_reader(lite, None if flags.min_score == Flags.min_score else flags.min_score)
    if flags.min_score != Flags.min_score and model.task != "detection":
        raise UserError(f"--min_score is only for detectors; {flags.model} is a {lite.metadata['name']}")
    broken: dict[Path, str] = {}
    if flags.out:
        form = forms.FORMS[model.task]
        print(f"Predicting with {flags.model}: {lite.metadata['name']}, {lite.size[1]} x {lite.size[0]}", flush=True)
        seen = image_files.legible(paths, broken, model.info.reading)
        images = ((number, picture, model.see(picture)) for number, picture in seen)
        with fonts.preferred(flags.font):
            detections = form.write(model.info, paths, out, images, flags.draw_side)
        done = image_files.report_broken(paths, broken)
        if detections is not None:
            print(f"{detections} detections with a score of at least {model.min_score:g} (--min_score)")
        print(f"{done} of {len(paths)} images done: {form.written} are in {flags.out}")
    if flags.repeat:
        report = benchmark.measure(lite, next((path for path in paths if path not in broken), paths[0]), flags.repeat)
        print(benchmark.text_of(report))
        if flags.json:
            result_files.write_json(Path(flags.json), {"model": flags.model, **report})


if __name__ == "__main__":
    command.run(main, Flags(), required=("model", "images"))
