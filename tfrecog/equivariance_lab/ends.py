"""How far from the ends of an image a segmenter's output follows a shift, to the last bit.

Two parts of a photo are cut out, one some pixels farther to the right. Where they show the same, a network of
convolutions says the same if the shift is a multiple of its stride. Its zeros around the image do not move with the
content, so the closer to the left or the right end, the larger the difference.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.drawing import figures

PLACES = (0, 16, 32, 64, 128, 256, 512)  # pixels from the ends that are printed


def difference(model: Callable, image: np.ndarray, shift: int) -> np.ndarray:
    """Largest difference [w] of the logits in each column where two parts of an image show the same.

    Column i lies i pixels from the left end of the right part, and w - 1 - i from the right end of the left part.

    Args:
        model: images [1, H, W, 3] in 0..255 to logits [1, H, W, K].
        image: [H, W, 3]; the parts are W - shift wide, and w = W - 2 shift of it is in the middle of both.
    """
    left, right = image[:, :-shift], image[:, shift:]
    of_left, of_right = (np.asarray(model(tf.constant(part[None], tf.float32))[0]) for part in (left, right))
    apart = np.abs(of_left[:, shift:] - of_right[:, :-shift])
    return apart.max(axis=(0, 2))


def by_distance(differences: np.ndarray) -> np.ndarray:
    """Of differences [w], the largest [w // 2 + w % 2] at each distance from the nearer end."""
    both = np.maximum(differences, differences[::-1])
    return both[: (len(both) + 1) // 2]


def figure(curves: dict[int, Sequence[float]], spread: float):
    """The differences by distance, of each shift, beside the standard deviation of the logits."""
    drawn, (axes,) = figures.panels(1)
    for number, (shift, curve) in enumerate(curves.items()):
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        axes.plot(np.maximum(curve, 1e-7), color=colour, label=f"{shift} pixels")
    axes.axhline(spread, color="gray", linestyle=":", label="deviation of the logits")
    axes.set(xlabel="pixels from the end", ylabel="largest difference of a logit", yscale="log")
    axes.legend(title="shift", fontsize="small")
    return drawn


def text_of(curves: dict[int, np.ndarray], spread: float) -> str:
    """For people: how large the differences still are, so many pixels from the ends and farther."""
    lines = [f"standard deviation of the logits {spread:.3g}; largest difference of one, so many pixels from the ends:"]
    for shift, curve in curves.items():
        shown = "  ".join(f"{place}: {curve[place:].max():.2g}" for place in PLACES if place < len(curve))
        lines.append(f"shift {shift}: {shown}")
    return "\n".join(lines)
