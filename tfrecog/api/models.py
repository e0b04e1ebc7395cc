"""A trained model in use: of a run, with its Keras model, or of an exported file."""

import logging
import numbers
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tfrecog.api import pictures, results, streams
from tfrecog.api import tiles as tiling
from tfrecog.api.settings import changed, named_as_arguments
from tfrecog.cli import flags as settings_of
from tfrecog.cli import urls
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo
from tfrecog.inference.flags import MIN_SCORE

if TYPE_CHECKING:
    from tfrecog.evaluations.loop import Numbers

Tiles = tuple[int, int] | int | None
_log = logging.getLogger("tfrecog")


class Model:
    """A trained model, whatever it was loaded from.

    Attributes:
        experiment: the settings of its run.
        info: the classes, `info.names` [K], and of keypoints their names.
        min_score: detections with a lower score are not found.
    """

    starting = ""  # what is done before the first picture is seen, as a bar says it

    def __init__(
        self,
        experiment: Experiment,
        info: DatasetInfo,
        see: Callable[[np.ndarray], Any],
        min_score: float,
        source: str,
    ):
        self.experiment, self.info, self.min_score, self.source = experiment, info, min_score, source
        self.see = see  # a picture uint8 [H, W, 3] → what the commands write of it

    @property
    def task(self) -> str:
        """What it is for: "classification", "detection" or "segmentation"."""
        return self.experiment.task

    @property
    def names(self) -> tuple[str, ...]:
        """Class names [K]; that of label l is names[l - 1]."""
        return self.info.names

    def __repr__(self):
        return f"<tfrecog model for {self.task} of {len(self.names)} classes, {self.source}>"

    @overload
    def predict(
        self,
        picture: list[Any] | tuple[Any, ...],
        *,
        min_score: float | None = ...,
        tiles: Tiles = ...,
        overlap: float = ...,
    ) -> list[results.AnyResult]: ...
    @overload
    def predict(
        self, picture: Any, *, min_score: float | None = ..., tiles: Tiles = ..., overlap: float = ...
    ) -> results.AnyResult: ...
    def predict(
        self,
        picture: Any,
        *,
        min_score: float | None = None,
        tiles: Tiles = None,
        overlap: float = 0.2,
    ) -> results.AnyResult | list[results.AnyResult]:
        """What the model sees in a picture, or in each of several.

        Args:
            picture: the name of a file, an address, an open file or its bytes, an image of Pillow, or an array uint8
                [H, W, 3] in the order red, green, blue; or several of these.
            min_score: detections have a higher score than this; not less than that of the model.
            tiles: height and width in pixels, or both in one number: a large picture is looked at in parts of this
                size, so that small objects are not made smaller; and as a whole. Each part may have as many
                detections as a picture.
            overlap: of tiles with their neighbours, as a share of their sides.

        Returns:
            A `DetectionResult`, `ClassificationResult` or `SegmentationResult`, or a list of them.

        Raises:
            UserError: something is not a picture.
        """
        self._check(min_score, tiles)
        if pictures.is_several(picture):
            return [self._result(*pictures.load(one, self.info.reading), min_score, tiles, overlap) for one in picture]
        return self._result(*pictures.load(picture, self.info.reading), min_score, tiles, overlap)

    __call__ = predict

    def stream(
        self,
        source: Any,
        *,
        every: int = 1,
        broken: dict[str, str] | None = None,
        min_score: float | None = None,
        tiles: Tiles = None,
        overlap: float = 0.2,
    ) -> Iterator[results.AnyResult]:
        """What the model sees in each picture of a source, one after the other: the memory is that of one picture.

        Args:
            source: a film, a folder, a pattern such as 'photos/*.jpg', an address of a picture or a film, the number
                of a camera, or an iterable of what `predict` takes.
            every: only every so many frames of a film or a camera.
            broken: gets of each file that cannot be read the reason; without it they are told to the log "tfrecog".
            min_score, tiles, overlap: those of `predict`.
        """
        self._check(min_score, tiles)
        tell = _log_broken if broken is None else broken.__setitem__
        seen = streams.pictures_of(source, self.info.reading, every, tell)
        return (self._result(pixels, name, min_score, tiles, overlap) for pixels, name in seen)

    def _check(self, min_score, tiles):
        """UserError for options that this model does not have."""
        if tiles is not None and self.task == "classification":
            raise UserError("tiles are for detectors and segmenters: a classifier looks at the middle of a picture")
        if min_score is not None and self.task != "detection":
            raise UserError(f"min_score is only for detectors, and this model is for {self.task}")
        if min_score is not None and not is_score(min_score):
            raise UserError(f"min_score={min_score!r}: give a number from 0 to 1")
        if min_score is not None and min_score < self.min_score:
            raise UserError(
                f"min_score={min_score:g}: this model finds nothing with a score below {self.min_score:g}; load it "
                f"with tfrecog.load(…, min_score={min_score:g}), or export it with a lower --detector.output.min_score"
            )

    def _result(self, pixels, name, min_score, tiles, overlap) -> results.AnyResult:
        result = results.KINDS[self.task](pixels, self._see(pixels, tiles, overlap), self.info, name)
        if min_score is not None and isinstance(result, results.DetectionResult):
            return result.above(min_score)
        return result

    def _see(self, pixels, tiles, overlap):
        if tiles is None:
            return self.see(pixels)
        tile = (tiles, tiles) if isinstance(tiles, int) else tiles
        see = tiling.segment if self.task == "segmentation" else tiling.detect
        return see(self.see, pixels, tile, overlap)

    def evaluate(
        self, records: str | Path = "", split: str = "", *, out: str | Path | None = None, show: bool = False
    ) -> "Numbers":
        """The numbers of a run on a split of records; an exported file is compared with its run by export.verify."""
        raise UserError(
            f"{self.source} is an exported file: evaluate the run that it was made from, and compare the two with "
            "python -m export.verify"
        )

    def export(self, kind: str, out: str | Path, **options: Any) -> Path:
        """Writes a run's model to a file; an exported file cannot be exported."""
        raise UserError(f"{self.source} is an exported file already: export the run that it was made from")

    @property
    def keras_model(self) -> Any:
        """The network as a Keras model, with its weights, to go on by oneself; an exported file has none."""
        raise UserError(f"{self.source} is an exported file: the run that it was made from has the Keras model")


def is_score(value: Any) -> bool:
    """Whether it is a number from 0 to 1; a NumPy scalar is one, too."""
    return isinstance(value, numbers.Real) and 0 <= value <= 1


def _log_broken(name, reason):
    _log.warning("not read: %s: %s", name, reason)


class RunModel(Model):
    """The model of a run, with the weights of one of its checkpoints.

    Attributes:
        checkpoint, step: of the weights.
    """

    starting = "compiling"

    def __init__(self, experiment: Experiment, checkpoint: str = "latest", min_score: float = MIN_SCORE):
        """Restores a run: `experiment.workdir`."""
        from tfrecog import tasks
        from tfrecog.runs import trained

        alone = settings_of.replace(experiment, {"train.replicas": 1})
        threshold = "detector.output.min_score"
        # What is below is cut from what the network finds, which is evaluated with the run's own.
        lowest = min(min_score, experiment.detector.output.min_score)
        task, self._network, self._strategy, self.checkpoint, self.step = trained.restore(
            settings_of.replace(alone, {threshold: lowest}), checkpoint
        )
        self._evaluable = lowest == experiment.detector.output.min_score
        seeing = settings_of.replace(alone, {threshold: min_score})
        see = tasks.of(experiment.task).inference.of_pictures(task, self._network, seeing)
        super().__init__(experiment, task.info, see, min_score, str(self.checkpoint))

    @property
    def keras_model(self) -> Any:
        """The network with its weights, to go on by oneself."""
        return self._network

    @named_as_arguments(records="data.records", split="data.eval_split")
    def evaluate(
        self, records: str | Path = "", split: str = "", *, out: str | Path | None = None, show: bool = False
    ) -> "Numbers":
        """The numbers of the run on a split of records, by name, as `python -m tfrecog.evaluate` prints them.

        Their `report` is the path of report.html, None where none was written.

        Args:
            records: folder of records; empty: those of the run.
            split: empty: `data.eval_split` of the run.
            out: folder for metrics.json, report.html and what belongs to them. None: nothing is written.
            show: print the numbers and a line for each class.
        """
        from tfrecog.api import evaluating

        urls.check_local(out or "", "out")
        if not self._evaluable:
            run = RunModel(self.experiment, str(self.checkpoint), self.experiment.detector.output.min_score)
            return run.evaluate(records, split, out=out, show=show)
        changes = {"data.records": str(records)} if records else {}
        changes |= {"data.eval_split": split} if split else {}
        experiment = changed(self.experiment, changes)
        if not experiment.data.records:
            raise UserError("records: the run names none; give the folder of the records, as in evaluate('data')")
        weights = evaluating.Weights(self._network, self._strategy, self.checkpoint, self.step)
        return evaluating.evaluate(experiment, lambda: weights, out, show)

    def export(self, kind: str, out: str | Path, **options: Any) -> Path:
        """Writes the checkpoint of the model to a file, as `python -m export.KIND` does.

        Args:
            kind: "saved_model", "tflite" or "onnx".
            out: the file, or the folder of a SavedModel.
            options: flags of the command, such as size="320x320" or quantize="int8"; `for_` is --for.

        Returns:
            The file, or the folder of the SavedModel's version.
        """
        from tfrecog.api import exporting

        return exporting.export(kind, self.experiment, str(self.checkpoint), out, options)
