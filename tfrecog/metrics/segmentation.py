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


class Evaluator:
    """Counts; memory grows with the square of the number of classes, and not with images or their size."""

    def __init__(self, num_classes: int):
        # [true, predicted]; what is predicted as none of the classes has the column 0, so that a label is its column.
        self._counts = np.zeros([num_classes, num_classes + 1], np.int64)

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

    def table(self, names: Sequence[str]) -> list[dict]:
        """A row for each class: `name`, `pixels`, and what was predicted for them.

        `share` is that of all pixels that count; `iou`, `accuracy` (recall) and `precision` are None where they are
        0 / 0. `taken_for` is the class for which most of its pixels are taken wrongly, `taken` which share of them;
        None if no pixel is.
        """
        everything = max(1, int(self.pixels.sum()))
        ratios = ([None if np.isnan(one) else float(one) for one in values] for values in _of_classes(self._counts))
        columns = zip(names, self.pixels.tolist(), *ratios, taken_for(self.confusion, names), strict=True)
        rows = []
        for name, pixels, iou, accuracy, precision, (other, times) in columns:
            row = {"name": name, "pixels": pixels, "share": pixels / everything, "iou": iou, "accuracy": accuracy}
            row |= {"precision": precision, "taken_for": other, "taken": times / pixels if times else None}
            rows.append(row)
        return rows


def numbers_of(counts: np.ndarray) -> dict[str, float]:
    """The four numbers of counts [K, K + 1]; nothing if no pixel counts."""
    pixels = counts.sum(axis=1)
    if not pixels.any():
        return {}
    iou, accuracy, _ = _of_classes(counts)
    return {
        "mean_iou": float(np.nanmean(iou)),
        "mean_accuracy": float(np.nanmean(accuracy)),
        "pixel_accuracy": int(np.trace(counts[:, 1:])) / int(pixels.sum()),
        "frequency_weighted_iou": float(np.nansum(pixels * iou) / pixels.sum()),
    }


def _of_classes(counts):
    """IoU, accuracy and precision [K] of each class; NaN where they are 0 / 0."""
    confusion, pixels = counts[:, 1:], counts.sum(axis=1)
    right, predicted = np.diag(confusion), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return right / (pixels + predicted - right), right / pixels, right / predicted
