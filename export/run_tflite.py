"""Shows what a TFLite file sees in pictures of any size, and how fast it is, as on a device: without TensorFlow.

python -m export.run_tflite --model=model.tflite --images='photos/*.jpg' --out=SEEN

needs ai-edge-litert, NumPy, Pillow, absl-py and tqdm. What it writes has the form of tfrecog.predict's.
"""

import dataclasses
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np

from tfrecog.cli import flags, signals, validate
from tfrecog.cli.facts import Fraction, NonNegative, Range, Unless
from tfrecog.data.info import Category
from tfrecog.drawing import annotations
from tfrecog.inference import image_files, result_files
from tfrecog.metrics import coco_rows
from tfrecog.ops import rle

from .litert import reader

MIN_SCORE = 0.5
THREADS = 256  # at most; a machine runs out of them at some thousands


@dataclasses.dataclass(frozen=True)
class Run:
    """The flags of a run of a TFLite file."""

    model: Annotated[str, "The TFLite file, of python -m export.tflite."] = ""
    images: Annotated[
        str,
        "Pictures: a pattern such as 'photos/*.jpg' (** for all folders below), a folder, a file, or several of these "
        "with commas between them. A photo that its camera marked as turned (EXIF) is turned upright first.",
    ] = ""
    out: Annotated[
        str,
        "Folder for detections.json (predictions.json of a classifier or a segmenter), a picture (JPEG) of each image, "
        "and of a segmenter its label map (label_maps/*.png).",
    ] = ""
    min_score: Annotated[float, "Detections with a lower score are left out.", Fraction()] = MIN_SCORE
    threads: Annotated[int, "Threads of the interpreter. 0: as many as there are cores.", Range(0, THREADS)] = 0
    draw_side: Annotated[
        int,
        "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never.",
        NonNegative("pixels"),
    ] = 400
    repeat: Annotated[int, "Benchmark: runs on the first image, after a warm-up. 0: none.", NonNegative("runs")] = 0
    json: Annotated[str, "File for the numbers of --repeat.", Unless(".repeat", 0)] = ""


class Writer:
    """Writes what a model sees in images to a folder: a row and a picture of each."""

    def __init__(self, metadata: dict, paths: list[Path], out: Path, min_score: float, draw_side: int):
        self.metadata, self.paths, self.out = metadata, paths, out
        self.min_score, self.draw_side = min_score, draw_side
        self.categories = categories_of(metadata)
        self.names = [category.name for category in self.categories]
        self.pictures, self.label_maps = result_files.files(paths, out)
        self.found = 0

    def write(self, images) -> str:
        """Writes numbers, pictures and what is seen in them, of an iterable; returns the name of the results' file."""
        task = self.metadata["task"]
        if task == "detection":
            with result_files.results_file(self.out) as write:
                for number, picture, said in images:
                    write(self._detections(number, picture, said))
            return result_files.DETECTIONS
        rows = [getattr(self, f"_{task}")(*one) for one in images]
        report = rows if task == "classification" else result_files.label_map_report(self.categories, rows)
        result_files.write_json(self.out / result_files.PREDICTIONS, report)
        return result_files.PREDICTIONS

    def _detections(self, number, picture, said):
        sure = said["scores"] > self.min_score
        said = {name: value[sure] for name, value in said.items()}
        height, width = picture.shape[:2]
        # Rounded as tfrecog.predict has them.
        boxes, labels, scores = np.round(said["boxes"].astype(float), 3), said["labels"], said["scores"]
        runs = pasted(said, (height, width), self.metadata)
        keypoints = said.get("keypoints")
        if keypoints is not None:
            keypoints = keypoints.astype(float)
            keypoints[..., :2] = np.round(keypoints[..., :2], 3)
        coco = runs and [rle.to_coco(one, height, width) for one in runs]
        rows = coco_rows.results(number, self.categories, boxes, labels, scores, coco, keypoints)
        self.found += len(rows)
        about = self.metadata
        drawn = annotations.instances(
            picture, boxes, labels, scores, runs and [rle.decode(one, height, width) for one in runs],
            None if keypoints is None else annotations.sure_keypoints(keypoints), self.names,
            skeleton=about["skeleton"], flip_pairs=about["flip_pairs"], min_side=self.draw_side,
        )  # fmt: skip
        image_files.save(drawn, self.pictures[number])
        facts = {"file_name": str(self.paths[number])}
        return [
            {**facts, "category_name": self.names[label - 1], **row} for row, label in zip(rows, labels, strict=True)
        ]

    def _classification(self, number, picture, said):
        row, lines = result_files.classes(self.paths[number], self.categories, said["scores"])
        image_files.save(result_files.written_on(picture, lines, self.draw_side), self.pictures[number])
        return row

    def _segmentation(self, number, picture, said):
        labels, categories = said["labels"], self.categories
        colours = [category.colour for category in categories]
        result_files.save(labels, result_files.values_of(categories), colours, self.label_maps[number])
        drawn = annotations.label_map(picture, labels, self.names, colours, min_side=self.draw_side)
        image_files.save(drawn, self.pictures[number])
        there = self.label_maps[number].relative_to(self.out).as_posix()
        rows = result_files.shares(labels, categories)
        return {"file_name": str(self.paths[number]), "label_map": there, "classes": rows}


def categories_of(metadata: dict) -> list[Category]:
    """The classes of an artefact, that of label 1 first."""
    return [
        Category(one["name"], one["id"], colour=tuple(one["colour"]) if one["colour"] else None)
        for one in metadata["classes"]
    ]


def pasted(said: dict, size: tuple[int, int], metadata: dict) -> list[np.ndarray] | None:
    """Run lengths [n] of the masks of detections in a photo of a size (height, width); None where it has none."""
    if "masks" not in said:
        return None
    threshold, rule = metadata["mask_threshold"], metadata["paste"]
    return rle.paste(said["masks"], said["boxes"], *size, threshold, rule)


def measure(model: reader.LiteModel, path: Path, repeat: int) -> dict:
    """How long the model takes for a photo, alone and from the file to what is seen in the photo, in milliseconds.

    Returns:
        `model` and `chain`, each with `median` and `p90`; `peak_mb` of the process, its libraries too; `threads`;
        `repeat`; `photo`, its height and width.
    """
    try:
        picture = image_files.load(path)
    except image_files.UNREADABLE as error:
        raise ValueError(f"--repeat: {path} cannot be read as an image: {error}") from error
    placed = model.place(picture)
    inputs = model.inputs(placed, model.propose(picture))

    def chain():
        picture = image_files.load(path)
        pasted(model.predict(picture), picture.shape[:2], model.metadata)

    report = {}
    for name, work in (("model", lambda: model.run(inputs)), ("chain", chain)):
        for _ in range(max(1, min(10, repeat // 5))):
            work()
        taken = []
        for _ in range(repeat):
            start = time.perf_counter()
            work()
            taken.append((time.perf_counter() - start) * 1e3)
        report[name] = {"median": statistics.median(taken), "p90": float(np.percentile(taken, 90))}
    report |= {"threads": model.threads, "repeat": repeat, "photo": list(picture.shape[:2])}
    return report | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Most memory that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def text_of(report: dict) -> str:
    """Lines for people of `measure`."""
    (height, width), threads = report["photo"], report["threads"]
    model, chain = report["model"], report["chain"]
    return (
        f"{report['repeat']} runs on {threads} thread{'s'[: threads > 1]}, of a photo of {width} x {height} pixels:\n"
        f"  the model alone  median {model['median']:8.2f} ms   p90 {model['p90']:8.2f} ms\n"
        f"  the whole chain  median {chain['median']:8.2f} ms   p90 {chain['p90']:8.2f} ms   (file, resizing, masks)\n"
        f"  peak memory      {report['peak_mb']:.0f} MiB, the libraries included"
    )


def check(run: Run) -> None:
    """ValueError where flags miss, contradict each other or would do nothing."""
    if not run.model:
        raise ValueError("--model: name a TFLite file, as in --model=model.tflite")
    if not run.out and not run.repeat:
        raise ValueError("--out: name a folder for the pictures, as in --out=SEEN; or measure with --repeat=50")
    validate.check(run)
    for name in ("min_score", "draw_side"):
        if not run.out and getattr(run, name) != getattr(Run(), name):
            raise ValueError(f"--{name} is of what goes to --out, which is not given; --repeat does without")


def check_score(run: Run, metadata: dict) -> None:
    """ValueError if --min_score is given where it would do nothing."""
    if run.min_score == MIN_SCORE:
        return
    if metadata["task"] != "detection":
        raise ValueError(f"--min_score is of detectors; {run.model} is a {metadata['name']}")
    if run.min_score < metadata["min_score"]:
        raise ValueError(
            f"--min_score={run.min_score:g}: {run.model} finds nothing with a score below {metadata['min_score']:g}; "
            "export it with a lower --detector.output.min_score"
        )


def main(run: Run) -> None:
    """Predicts, draws and measures; what the user can mend ends the program with a message."""
    broken: dict[Path, str] = {}
    try:
        check(run)
        paths = image_files.find(run.images)
        model = reader.LiteModel(run.model, run.threads)
        check_score(run, model.metadata)
        if run.out:
            writer = Writer(model.metadata, paths, Path(run.out), run.min_score, run.draw_side)
            print(
                f"Predicting with {run.model}: {model.metadata['name']}, {model.size[1]} x {model.size[0]}", flush=True
            )
            legible = image_files.legible(paths, broken)
            results = writer.write((number, picture, model.predict(picture)) for number, picture in legible)
            _tell(run, model.metadata, writer, broken, results)
        if run.repeat:
            report = measure(model, next((path for path in paths if path not in broken), paths[0]), run.repeat)
            print(text_of(report))
            if run.json:
                result_files.write_json(Path(run.json), {"model": run.model, **report})
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def _tell(run, metadata, writer, broken, results):
    for path, reason in broken.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    count = len(writer.paths)
    done = count - len(broken)
    if not done:
        raise ValueError(f"not one of {count} files could be read as an image")
    if metadata["task"] == "detection":
        print(f"{writer.found} detections with a score of at least {run.min_score:g} (--min_score)")
    written = f"pictures, {result_files.LABEL_MAPS}" if metadata["task"] == "segmentation" else "pictures"
    print(f"{done} of {count} images done: {written} and {results} are in {run.out}")


if __name__ == "__main__":
    with signals.told():
        main(flags.parse(Run()))
