"""Pixel accuracy, mean accuracy, mean IoU and frequency-weighted IoU of label maps, from one confusion matrix.

With n_ij pixels of class i that are predicted as j and t_i = sum_j n_ij (Long et al. 2015, section 5):

    pixel accuracy             sum_i n_ii / sum_i t_i
    mean accuracy              mean_i n_ii / t_i
    mean IoU                   mean_i n_ii / (t_i + sum_j n_ji - n_ii)
    frequency-weighted IoU     sum_i t_i IoU_i / sum_i t_i

A mean leaves out the classes of which its quotient is 0 / 0: mean accuracy those without a pixel, mean IoU those that
nobody predicted either. One without a predicted pixel has the IoU 0, and counts, as in the authors' own evaluation.
Pixels that do not count (truth 0) are in none of the sums, whatever is predicted for them.
"""

from collections.abc import Sequence

import numpy as np

from tfrecog.metrics.classification import taken_for
from tfrecog.metrics.diagnosis import RESAMPLES


class Evaluator:
    """Counts; memory grows with the square of the number of classes, and by three numbers of each with each image."""

    def __init__(self, num_classes: int):
        # [true, predicted]; what is predicted as none of the classes has the column 0, so that a label is its column.
        self._counts = np.zeros([num_classes, num_classes + 1], np.int64)
        self._images: list[np.ndarray] = []  # of each image its `_parts`

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Counts an image's label maps [H, W].

        Args:
            truth: labels 1..K, 0 where a pixel does not count.
            predicted: labels 1..K; 0 is none of the classes, which is wrong wherever a pixel counts.

        Returns:
            Counts int64 [K, K + 1] of this image alone, for `numbers_of`.

        Raises:
            ValueError: the maps differ in size, or have a label above K.
        """
        truth, predicted, classes = np.asarray(truth), np.asarray(predicted), len(self._counts)
        if truth.shape != predicted.shape:
            sizes = [" x ".join(map(str, one.shape)) for one in (truth, predicted)]
            raise ValueError(f"the true label map has {sizes[0]} pixels, and the predicted one {sizes[1]}")
        for what, labels in (("true label map", truth), ("predicted label map", predicted)):
            if labels.size and not 0 <= labels.min() <= labels.max() <= classes:
                wrong = labels.max() if labels.max() > classes else labels.min()
                raise ValueError(f"the {what} has the label {wrong}, and there are {classes} classes")
        pairs = truth.astype(np.intp) * (classes + 1) + predicted
        # The row of the truth 0 is counted too, and dropped.
        counts = np.bincount(pairs.ravel(), minlength=(classes + 1) ** 2).reshape(-1, classes + 1)[1:].astype(np.int64)
        self._counts += counts
        if counts.any():
            self._images.append(_parts(counts).astype(np.uint32))
        return counts

    @property
    def confusion(self) -> np.ndarray:
        """Pixels int64 [K, K] by true and predicted class, without those predicted as none of them."""
        return self._counts[:, 1:]

    @property
    def pixels(self) -> np.ndarray:
        """Pixels int64 [K] of each class that count."""
        return self._counts.sum(axis=1)

    def summarize(self) -> dict[str, float]:
        """`mean_iou`, `mean_accuracy`, `pixel_accuracy` and `frequency_weighted_iou`; nothing if no pixel counts."""
        return numbers_of(self._counts)

    def standard_errors(self, seed: int = 0) -> tuple[dict[str, float], np.ndarray]:
        """Standard errors of the four numbers, and of the IoU of each class [K]: bootstrap over the images.

        None of one image, and NaN of a class that is in fewer than two.
        """
        images, classes = len(self._images), len(self._counts)
        if images < 2:
            return {}, np.full(classes, np.nan)
        rng, parts = np.random.default_rng(seed), np.stack(self._images).astype(np.int64)
        some = [parts[rng.integers(0, images, images)].sum(axis=0) for _ in range(RESAMPLES)]
        numbers = [_numbers_of(one) for one in some]
        ious = np.stack([_quotients(one)[0] for one in some])
        there = (parts[:, :, 1:].any(axis=2)).sum(axis=0) > 1
        by_class = np.full(classes, np.nan)
        by_class[there] = np.nanstd(ious[:, there], axis=0, ddof=1)
        return {name: float(np.std([one[name] for one in numbers], ddof=1)) for name in numbers[0]}, by_class

    def table(self, names: Sequence[str]) -> list[dict]:
        """A row for each class: `name`, `pixels`, and what was predicted for them.

        `share` is that of all pixels that count; `iou`, `accuracy` (recall) and `precision` are None where they are
        0 / 0. `taken_for` is the class for which most of its pixels are taken wrongly, `taken` which share of them;
        None if no pixel is.
        """
        everything = max(1, int(self.pixels.sum()))
        ratios = (
            [None if np.isnan(one) else float(one) for one in values] for values in _quotients(_parts(self._counts))
        )
        columns = zip(names, self.pixels.tolist(), *ratios, taken_for(self.confusion, names), strict=True)
        rows = []
        for name, pixels, iou, accuracy, precision, (other, times) in columns:
            row = {"name": name, "pixels": pixels, "share": pixels / everything, "iou": iou, "accuracy": accuracy}
            row |= {"precision": precision, "taken_for": other, "taken": times / pixels if times else None}
            rows.append(row)
        return rows


def numbers_of(counts: np.ndarray) -> dict[str, float]:
    """The four numbers of counts [K, K + 1]; nothing if no pixel counts."""
    return _numbers_of(_parts(counts)) if counts.any() else {}


def _parts(counts):
    """Of each class [K, 3] the pixels that are right, those that it has, and those that are predicted as it."""
    confusion = counts[:, 1:]
    return np.stack([np.diag(confusion), counts.sum(axis=1), confusion.sum(axis=0)], axis=1)


def _numbers_of(parts):
    right, pixels, _ = parts.T
    iou, accuracy, _ = _quotients(parts)
    return {
        "mean_iou": float(np.nanmean(iou)),
        "mean_accuracy": float(np.nanmean(accuracy)),
        "pixel_accuracy": int(right.sum()) / int(pixels.sum()),
        "frequency_weighted_iou": float(np.nansum(pixels * iou) / pixels.sum()),
    }


def _quotients(parts):
    """IoU, accuracy and precision [K] of each class; NaN where they are 0 / 0."""
    right, pixels, predicted = parts.T
    with np.errstate(invalid="ignore"):
        return right / (pixels + predicted - right), right / pixels, right / predicted
