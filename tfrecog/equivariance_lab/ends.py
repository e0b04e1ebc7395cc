"""How far from the ends of an image a segmenter's output follows a shift, to the last bit.

Two parts of a photo are cut out, one some pixels farther to the right. Where they show the same, a network of
convolutions says the same if the shift is a multiple of its stride. Its zeros around the image do not move with the
content, so the closer to the left or the right end, the larger the difference.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.equivariance_lab.measure import Row

PLACES = (0, 16, 32, 64, 128, 256, 512)  # pixels from the ends that are printed


def difference(model: Callable, image: np.ndarray, shift: int) -> np.ndarray:
    """Largest difference [w] of the logits in each column where two parts of an image show the same.

    Column i lies i pixels from the left end of the right part, and w - 1 - i from the right end of the left part.

    Args:
        model: images [1, H, W, 3] in 0..255 to logits [1, H, W, K].
        image: [H, W, 3]; the parts are W - shift wide, and w = W - 2 shift of it is in the middle of both.
    """
    parts = image[:, :-shift], image[:, shift:]
    of_left, of_right = (np.asarray(model(tf.constant(part[None], tf.float32))[0]) for part in parts)
    return np.abs(of_left[:, shift:] - of_right[:, :-shift]).max(axis=(0, 2))


def by_distance(differences: np.ndarray) -> np.ndarray:
    """Of differences [w], the largest [w // 2 + w % 2] at each distance from the nearer end."""
    both = np.maximum(differences, differences[::-1])
    return both[: (len(both) + 1) // 2]


def rows_of(model: Callable, image: np.ndarray, shifts: Sequence[int]) -> list[Row]:
    """Of each shift, the largest difference so many pixels from the ends or farther; and the deviation of the logits.

    `image` is [H, W, 3], in 0..255.
    """
    rows = []
    for shift in shifts:
        curve = by_distance(difference(model, image, shift))
        largest = np.maximum.accumulate(curve[::-1])[::-1]
        rows += [Row("ends", i, f"shift_{shift}_difference", float(value)) for i, value in enumerate(largest)]
    deviation = float(np.std(model(tf.constant(image[None], tf.float32))))
    return [*rows, *(Row("ends", i, "deviation_difference", deviation) for i in sorted({row.strength for row in rows}))]
