"""A linear SVM that is trained on the negatives it finds hard (Felzenszwalb et al. 2010; Girshick et al. 2014, 2.3)."""

import warnings

import numpy as np

POSITIVE = 2.0  # times as much an error of an object counts, as in R-CNN's released code
HARD, EASY = -1.0, -1.2  # a negative with a higher margin is kept, one with a lower margin is dropped again
LEARNED = 0.8  # An SVM that has fewer of its own objects on its side is bound too strongly.
REFIT = 2000  # new hard negatives after which the SVM is trained again
MEMORY = 2**30  # bytes of the negatives of all classes together, and as many of their positives


def most(classes: int, width: int) -> int:
    """How many negatives of `width` numbers each of so many classes may hold, and how many positives.

    One or two classes hold as many as each of three: training an SVM takes several times the memory of its examples.
    """
    return max(REFIT, MEMORY // (4 * max(classes, 3) * width))


class ReservoirSample:
    """No more than `most` of the examples that are added, each as likely as any other, the same ones every time."""

    def __init__(self, most: int):
        self.most, self.seen = most, 0
        self._rng = np.random.default_rng(0)
        self._parts: list[np.ndarray] = []
        self._draws = np.zeros([0])

    def add(self, examples: np.ndarray) -> None:
        """Takes examples [n, D]."""
        self.seen += len(examples)
        self._parts.append(examples.astype(np.float32))
        self._draws = np.concatenate([self._draws, self._rng.random(len(examples))])
        if len(self._draws) > self.most + self.most // 4:  # not at each that is added: what is left is copied
            self.examples()

    def examples(self) -> np.ndarray:
        """Those that are kept, [n, D], in the order in which they came."""
        kept = np.concatenate(self._parts)
        if len(kept) > self.most:
            lowest = np.sort(np.argpartition(self._draws, self.most)[: self.most])
            kept, self._draws = kept[lowest], self._draws[lowest]
        self._parts = [kept]
        return kept


class LinearSvm:
    """The SVM of one class, whose margin of features x [D] is `weights` · x + `bias`.

    Args:
        positives: [P, D].
        c: weight of the errors.
        most: so many negatives are held, the hardest.
        refit: new hard negatives after which it is trained again.
    """

    def __init__(self, positives: np.ndarray, c: float, most: int, refit: int = REFIT):
        self.positives, self.c, self.most, self.refit = positives.astype(np.float32), c, most, refit
        self.negatives = np.zeros([0, positives.shape[1]], np.float32)
        self.weights, self.bias = np.zeros(positives.shape[1]), 0.0
        self.waiting: list[np.ndarray] = []
        self.seen = self.fits = 0

    def add(self, negatives: np.ndarray) -> None:
        """Takes those of an image's negatives [n, D] that are hard; before the first fit, all are."""
        self.seen += len(negatives)
        hard = negatives[self.margins(negatives) > HARD] if self.fits else negatives
        self.waiting.append(hard.astype(np.float32))
        if sum(map(len, self.waiting)) >= self.refit:
            self._fit()

    def finish(self) -> "LinearSvm":
        """Itself, trained on all that it has."""
        if self.waiting or not self.fits:
            self._fit()
        return self

    def margins(self, features: np.ndarray) -> np.ndarray:
        """[n] of features [n, D]."""
        return features @ self.weights + self.bias

    def _fit(self):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        self.negatives, self.waiting = np.concatenate([self.negatives, *self.waiting]), []
        if not len(self.negatives):
            self.bias = 1.0  # Nothing is known that is not of the class.
            return
        # The bias is hardly regularised: it is the weight of an input of 10. The hinge is squared, where R-CNN's code
        # has it plain: it weighs more what is far on the wrong side.
        options = {"intercept_scaling": 10.0, "class_weight": {0: 1.0, 1: POSITIVE}}
        svm = LinearSVC(C=self.c, loss="squared_hinge", dual=False, **options)
        examples = np.concatenate([self.positives, self.negatives])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # It is trained again, or good enough at the end.
            svm.fit(examples, (np.arange(len(examples)) < len(self.positives)).astype(int))
        self.weights, self.bias = svm.coef_[0].astype(np.float64), float(svm.intercept_[0])
        self.fits += 1
        margins = self.margins(self.negatives)
        kept = margins >= EASY
        if kept.sum() > self.most:
            kept &= margins >= np.sort(margins)[-self.most]
        self.negatives = self.negatives[kept]

    def __str__(self):
        right = np.mean(self.margins(self.positives) > 0)
        return (
            f"{len(self.positives):,} positives ({right:.0%} on their side), {len(self.negatives):,} hard of "
            f"{self.seen:,} negatives, trained {self.fits} times"
            + "; a higher --c would take its positives more seriously"
            * bool(right < LEARNED)
        )
