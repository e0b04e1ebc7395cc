"""Shows what a model sees in pictures and films of any size.

python -m tfrecog.predict photo.jpg more/ film.mp4 --model=RUN [--out=SEEN] [--format=coco]

--flagfile=RUN/experiment.flags names a run, too.
"""

import dataclasses
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tfrecog.cli import command, files, flagfiles
from tfrecog.cli import flags as settings
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import For, Fraction, Length, OfRun, Positional, Range, Urls
from tfrecog.cli.progress import Bar
from tfrecog.config import Experiment, plain
from tfrecog.inference.flags import IMAGES, MIN_SCORE, RESULTS, DrawSide, FontFile, Threads
from tfrecog.runs.flags import RunFlags

if TYPE_CHECKING:
    from tfrecog.api.models import Model
    from tfrecog.inference.annotations import Annotations
    from tfrecog.inference.forms import Form


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of what is shown to it."""

    images: Annotated[
        tuple[str, ...], f"{IMAGES} So are films (MP4, MOV, ...) and addresses of both.", Positional(), Length(), Urls()
    ] = ()
    model: Annotated[
        str,
        "What predicts: the folder of a run, that of a SavedModel of export.saved_model, a .tflite or .onnx file of "
        "export.tflite or export.onnx, or the name of published weights, which are downloaded once, such as "
        "maskrcnn_resnet50_fpn, or starter, those of this package.",
        OfRun(Experiment),
    ] = ""
    out: Annotated[str, f"{RESULTS} A film becomes an MP4, with FILM.mp4.json, which has a row for each frame."] = (
        "seen"
    )
    min_score: Annotated[float, "Detections with a lower score are left out.", Fraction(), For("detection")] = MIN_SCORE
    threads: Threads = 0
    draw_side: DrawSide = 400
    font: FontFile = ""
    every: Annotated[int, "Of a film, every so many frames.", Range(1, unit="frames")] = 1
    format: Annotated[
        Literal["", "coco", "yolo", "labelme"],
        "Detections also as annotations, to be corrected with a tool: OUT/instances.json, OUT/yolo, or OUT/labelme.",
        For("detection"),
    ] = ""


def main(flags: Flags) -> None:
    """Predicts and reports; of a TFLite or ONNX file without TensorFlow."""
    from tfrecog.api import streams
    from tfrecog.api.pictures import is_address
    from tfrecog.drawing import fonts
    from tfrecog.inference import image_files

    out, left_out = Path(flags.out).expanduser(), []
    files.check(out, f"--out={flags.out}")
    fonts.check(flags.font, "--font")
    names = [flags.images] if isinstance(flags.images, str) else flags.images
    addresses = [name for name in names if is_address(name)]
    local = [name for name in names if name not in addresses]
    # With --format, the films of folders are left out as others are.
    ends = () if flags.format else streams.OF_FOLDERS
    paths = image_files.find(local, ends, out, left_out) if local or not addresses else []
    exported = _exported(flags)
    form = _form(flags, exported)
    task = exported.task if exported else flags.task
    _check_format(flags, task, _films([*paths, *(Path(urllib.parse.urlsplit(one).path) for one in addresses)]))
    # Whether files can be written, before a download.
    form.files(paths, out)
    paths += streams.downloaded(addresses, out / image_files.DOWNLOADS)
    films = _films(paths)  # Only its server may know that something is one.
    pictures = [path for path in paths if path not in films]
    if films:
        streams.opencv()
    # And before the weights are read.
    places = form.files(pictures, out) if pictures else []
    drawn_films = image_files.picture_paths(films, out, ".mp4") if films else []
    _check_format(flags, task, films)
    also = _annotations(flags.format, pictures, out)
    model = exported or _of_run(flags)
    print(f"Predicting with {model.source}", flush=True)
    broken: dict[Path, str] = {}
    if pictures:
        seen = image_files.legible(pictures, broken, model.info.reading, model.starting)
        images = ((number, picture, model.see(picture)) for number, picture in seen)
        if also:
            images = also.written(images, model.info, model.experiment.detector)
        images = _told(images, pictures, places, lambda found: form.words(model.info, found))
        with fonts.preferred(flags.font):
            form.write(model.info, pictures, out, images, flags.draw_side)
    for film, place in zip(films, drawn_films, strict=True):
        _film(model, film, place, flags, broken)
    done = image_files.report_broken(paths, broken)
    image_files.report_left_out(left_out)
    if pictures:
        done -= len(films) - len(broken.keys() & {*films})
        print(f"{done} of {len(pictures)} images done: {form.written} are in {out}")
    if also:
        print(f"Annotations in the format {flags.format} are in {also.out}")


def _exported(flags: Flags) -> "Model | None":
    """The model that --model names, unless it is a run, whose settings are among the flags."""
    from tfrecog.api import loading

    is_run = not flags.model or (Path(flags.model).expanduser() / flagfiles.OF_RUN).is_file()
    if not (flags.model or flags.workdir or flags.checkpoint not in ("latest", "best")):
        raise UserError("--model: name a trained model, as in --model=runs/mine (--help says what else)")
    if is_run:
        return None
    if changed := settings.differences(Experiment(), plain(flags)):
        raise UserError(
            f"--{next(iter(changed))} is a setting of a run, and --model={flags.model} is not a run's folder"
        )
    typed = settings.named(flags, command.arguments())
    # A default yields to the score below which the file has no detections; what was typed does not.
    min_score = flags.min_score if "min_score" in typed or flags.min_score != Flags.min_score else None
    return loading.find(flags.model, min_score, flags.checkpoint, None, flags.threads, flags.device)


def _of_run(flags: Flags) -> "Model":
    from tfrecog.api import loading, models

    loading.check_threads(flags.threads, flags.model or flags.workdir)
    return models.RunModel(flags, flags.checkpoint, flags.min_score)


def _form(flags: Flags, exported: "Model | None") -> "Form":
    from tfrecog.inference import forms

    if exported:
        return forms.FORMS[exported.task]
    from tfrecog import tasks

    return tasks.of(flags.task).inference.FORM


def _annotations(kind: str, pictures: list[Path], out: Path) -> "Annotations | None":
    if not kind:
        return None
    from tfrecog.inference import annotations

    return annotations.Annotations(kind, pictures, out)


def _films(paths: Iterable[Path]) -> list[Path]:
    from tfrecog.api import streams

    return [path for path in paths if path.suffix.lower() in streams.FILMS]


def _check_format(flags: Flags, task: str, films: list[Path]) -> None:
    if flags.format and (task != "detection" or films):
        raise UserError(f"--format={flags.format}: there are annotations of pictures, by detectors; leave it empty")


def _told(
    images: Iterable, paths: list[Path], places: list[Path], words: Callable[[Any], str]
) -> Iterator[tuple[int, Any, Any]]:
    """Yields `images`, and prints what was seen in each once it is written."""
    for number, picture, found in images:
        yield number, picture, found
        Bar.write(f"{paths[number]}: {words(found)}{f' -> {places[number]}' if places else ''}")


def _film(model: "Model", film: Path, place: Path, flags: Flags, broken: dict[Path, str]) -> None:
    """Writes a film and its JSON, or notes why it is not readable."""
    from tfrecog.api import films, streams

    try:
        count, lost = films.write(model, film, place, every=flags.every, min_side=flags.draw_side, font=flags.font)
    except streams.UnreadableFilm as error:
        broken[film] = str(error)
        return
    for reason in lost:
        print(f"{film}: {reason}", file=sys.stderr)
    print(f"{film}: {count} frames -> {place} and {place.name}{films.JSON}", flush=True)


if __name__ == "__main__":
    command.run(main, Flags(), required=("images",))
