"""Top-1 and top-5 accuracy, and the confusion matrix, from the probabilities of one image after the other."""

import numpy as np


class Evaluator:
    """Counts; memory grows with the square of the number of classes, and not with that of images."""

    def __init__(self, num_classes: int):
        self.confusion = np.zeros([num_classes, num_classes], np.int64)  # [true, predicted]
        self.among_five = np.zeros(num_classes, np.int64)

    def add(self, label: int, probabilities: np.ndarray) -> None:
        """An image of a label in 1..K, and what was said of it, [K]. Of equal ones, the first class counts as best."""
        best = np.argsort(-probabilities, kind="stable")[:5]
        self.confusion[label - 1, best[0]] += 1
        self.among_five[label - 1] += label - 1 in best

    def summarize(self) -> dict[str, float]:
        """`top1`, `top5`: shares of all images."""
        images = max(int(self.confusion.sum()), 1)
        return {"top1": float(np.trace(self.confusion)) / images, "top5": float(self.among_five.sum()) / images}
