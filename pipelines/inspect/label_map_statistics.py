"""What the label maps of a split hold: how much of each class, and the weights that make rare classes count as much."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .sums import Sums


@dataclass
class MapFacts(Sums):
    """Counts of label maps, by label 1..K; 0 does not count."""

    images: int = 0  # with a label map
    pixels: Counter = field(default_factory=Counter)
    images_with: Counter = field(default_factory=Counter)  # at least a pixel of a class
    pixels_with: Counter = field(default_factory=Counter)  # of those images, that count

    def add(self, labels: np.ndarray) -> None:
        """Counts a label map [H, W]."""
        counts = dict(enumerate(np.bincount(labels.ravel()).tolist()))
        there = [label for label, count in counts.items() if count and label]
        counted = sum(counts[label] for label in there)
        self.images += 1
        self.pixels.update(counts)
        self.images_with.update(there)
        self.pixels_with.update(dict.fromkeys(there, counted))

    def weights(self, num_classes: int) -> list[float]:
        """Weights [K] of the classes by median frequency (Eigen and Fergus 2015); 1 for absent ones.

        The frequency of a class is its share of the pixels that count in the images that have it; the weight is the
        median of all frequencies over that of the class.
        """
        shares = {label: self.pixels[label] / count for label, count in self.pixels_with.items()}
        median = float(np.median(list(shares.values()))) if shares else 1.0
        return [median / shares[label] if label in shares else 1.0 for label in range(1, num_classes + 1)]

    def cells(self, names: tuple[str, ...]) -> list[str]:
        """For people: pixels and share of each class, and in how many images it is."""
        counted = self.pixels.total() - self.pixels[0]
        rows = [(name, self.pixels[label], self.images_with[label]) for label, name in enumerate(names, 1)]
        return [f"{name} {pixels:,} ({_share(pixels, counted)}) in {images:,}" for name, pixels, images in rows]

    def summary(self) -> str:
        """How many pixels count, and how many do not."""
        total, void = self.pixels.total(), self.pixels[0]
        return f"label maps: {total - void:,} pixels count, {void:,} ({_share(void, total)}) do not"

    def flag(self, num_classes: int) -> str:
        """The weights as a flag of training."""
        weights = ",".join(f"{weight:.4g}" for weight in self.weights(num_classes))
        return f"--segmenter.class_weights={weights}"


def _share(part: int, whole: int) -> str:
    share = 100 * part / max(whole, 1)
    return f"{share:.1f}%" if share >= 0.05 or not part else "<0.1%"
