"""What a model sees in a picture, as NumPy arrays in pixels of that picture; without TensorFlow."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data.info import DatasetInfo
from tfrecog.drawing import fonts
from tfrecog.inference import forms, result_files
from tfrecog.metrics import coco_rows
from tfrecog.ops import rle


@dataclass(frozen=True, eq=False)
class Result:
    """What a model sees in a picture; of which task, `task` says."""

    picture: np.ndarray  # uint8 [H, W, 3] RGB, as the model was given it: a file upright
    found: Any  # what the commands write of it
    info: DatasetInfo  # the classes
    source: str = ""  # the file, the address, or the frame of a film
    task: ClassVar[str] = ""
    drawn: ClassVar[Callable[..., np.ndarray]]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.picture.shape[0], self.picture.shape[1]

    @cached_property
    def names(self) -> list[str]:
        """Class names of `labels`."""
        return [self.info.names[label - 1] for label in self.labels]

    def draw(self, min_side: int = 400, font: str | Path = "") -> Image.Image:
        """The picture with what is seen drawn on it.

        Args:
            min_side: a picture with a shorter side than this, in pixels, is enlarged by a whole factor; 0: never.
            font: a file (TTF, OTF, TTC) for the names. Empty: DejaVu Sans, and for letters that it lacks, fonts of
                this system.

        Raises:
            UserError: the font cannot be read.
        """
        with fonts.preferred(font):
            return Image.fromarray(type(self).drawn(self.info, self.picture, self.found, min_side))

    def _repr_png_(self) -> bytes:
        """What a notebook shows, in at most 1,000 pixels."""
        picture = self.draw()
        picture.thumbnail((1000, 1000))
        return picture._repr_png_()

    def __repr__(self):
        height, width = self.size
        return f"<{type(self).__name__} of {self.source or 'a picture'} ({width} x {height}): {self.words()}>"

    def words(self) -> str:
        """What is seen, in a line."""
        return forms.FORMS[self.task].words(self.info, self.found)

    def to_dict(self) -> dict[str, Any]:
        """The same in plain lists and numbers, for JSON."""
        raise NotImplementedError


class DetectionResult(Result):
    """Objects in a picture, best first; masks and keypoints are None of a detector without them."""

    task: ClassVar[str] = "detection"
    drawn = staticmethod(result_files.draw_detections)
    found: result_files.Detections

    @property
    def boxes(self) -> np.ndarray:
        """float64 [n, 4]: y1, x1, y2, x2 in continuous pixels, to the thousandth."""
        return self.found.boxes

    @property
    def labels(self) -> np.ndarray:
        """int32 [n], in 1..K; the class of label l is `info.names[l - 1]`."""
        return self.found.labels

    @property
    def scores(self) -> np.ndarray:
        """float32 [n], in [0, 1]."""
        return self.found.scores

    @cached_property
    def masks(self) -> np.ndarray | None:
        """bool [n, H, W]; made when it is first asked for: `to_coco` has run lengths, which take less memory."""
        if self.found.masks is None:
            return None
        decoded = [rle.decode(rle.from_coco(mask)[0], *self.size) for mask in self.found.masks]
        return np.stack(decoded) if decoded else np.zeros((0, *self.size), bool)

    @property
    def keypoints(self) -> np.ndarray | None:
        """float64 [n, J, 3]: y, x in continuous pixels, and the height of the heat map's peak (a logit)."""
        return self.found.keypoints

    def __len__(self):
        return len(self.boxes)

    def above(self, min_score: float) -> "DetectionResult":
        """Those with a higher score."""
        sure = np.flatnonzero(self.scores > min_score)
        masks, keypoints = self.found.masks, self.found.keypoints
        found = dataclasses.replace(
            self.found,
            boxes=self.boxes[sure],
            labels=self.labels[sure],
            scores=self.scores[sure],
            masks=None if masks is None else [masks[i] for i in sure],
            keypoints=None if keypoints is None else keypoints[sure],
        )
        return dataclasses.replace(self, found=found)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Rows of COCO's results format, with the category ids of the data that the model learned from."""
        return coco_rows.results(image_id, self.info.categories, *self.found.instances)

    def to_dict(self) -> dict[str, Any]:
        rows = self.to_coco()
        for row, name, label, box in zip(rows, self.names, self.labels, self.boxes, strict=True):
            del row["image_id"], row["bbox"]
            row |= {"name": name, "label": int(label), "box": box.tolist()}
            if self.keypoints is not None:  # COCO's are indices of pixels.
                del row["keypoints"], row["keypoint_scores"]
        if self.keypoints is not None:
            for row, points in zip(rows, self.keypoints, strict=True):
                row["keypoints"] = points.tolist()
        return {"source": self.source, "size": list(self.size), "detections": rows}

    def to_supervision(self) -> Any:
        """The same as a `supervision.Detections`: x1, y1, x2, y2, and classes counted from 0; without keypoints."""
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise UserError("supervision is missing: pip install 'tfrecog[supervision]'") from error

        return supervision.Detections(
            xyxy=self.boxes[:, [1, 0, 3, 2]].astype(np.float32),
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels.astype(int) - 1,
            data={"class_name": np.array(self.names, str)},
        )


class ClassificationResult(Result):
    """The class of a picture."""

    task: ClassVar[str] = "classification"
    drawn = staticmethod(result_files.draw_classes)
    found: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """float32 [K], in the order of the labels."""
        return self.found

    @cached_property
    def labels(self) -> np.ndarray:
        """int [K] in 1..K, the most probable first."""
        return np.argsort(-self.found) + 1

    @property
    def scores(self) -> np.ndarray:
        """float32 [K], of `labels`."""
        return self.found[self.labels - 1]

    def to_dict(self) -> dict[str, Any]:
        ranked = zip(self.labels.tolist(), self.names, self.scores.tolist(), strict=True)
        classes = [{"label": label, "name": name, "score": score} for label, name, score in ranked]
        return {"source": self.source, "size": list(self.size), "classes": classes}


class SegmentationResult(Result):
    """The class of each pixel of a picture."""

    task: ClassVar[str] = "segmentation"
    drawn = staticmethod(result_files.draw_label_map)
    found: np.ndarray

    @property
    def label_map(self) -> np.ndarray:
        """uint8 [H, W] in 0..K; 0: of none of the classes."""
        return self.found

    @cached_property
    def labels(self) -> np.ndarray:
        """int [n], the classes that are there, in 1..K, the largest first."""
        counts = self._counts
        order = np.argsort(-counts, kind="stable")
        return order[counts[order] > 0] + 1

    @property
    def shares(self) -> np.ndarray:
        """float64 [n], of the picture's pixels."""
        return self._counts[self.labels - 1] / self.found.size

    @cached_property
    def masks(self) -> np.ndarray:
        """bool [n, H, W]."""
        return self.found == self.labels[:, None, None]

    @cached_property
    def _counts(self):
        return np.bincount(self.found.ravel(), minlength=self.info.num_classes + 1)[1:]

    def to_dict(self) -> dict[str, Any]:
        """With each class as compressed run lengths, as COCO has masks."""
        rows = zip(self.labels.tolist(), self.names, self.shares.tolist(), self.masks, strict=True)
        classes = [
            {"label": label, "name": name, "share": share, "segmentation": _run_lengths(mask)}
            for label, name, share, mask in rows
        ]
        return {"source": self.source, "size": list(self.size), "classes": classes}


def _run_lengths(mask: np.ndarray) -> dict:
    coded = rle.to_coco(rle.encode(mask), *mask.shape)
    return {"size": list(map(int, coded["size"])), "counts": coded["counts"].decode()}


AnyResult = DetectionResult | ClassificationResult | SegmentationResult
KINDS: dict[str, type[AnyResult]] = {
    kind.task: kind for kind in (DetectionResult, ClassificationResult, SegmentationResult)
}
