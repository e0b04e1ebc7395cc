"""From a resized image back to the original, in NumPy; ops/boxes and ops/keypoints have it for TensorFlow."""

import numpy as np


def boxes(boxes: np.ndarray, scale: np.ndarray, size) -> np.ndarray:
    """Boxes [n, 4] of an image resized by scale [2] (y, x), in pixels of the original and cut to its size [2]."""
    return np.clip(boxes / np.tile(scale, 2), 0, np.tile(size, 2).astype(boxes.dtype))


def keypoints(keypoints: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Keypoints [n, J, 3] (y, x, score) of an image resized by scale [2] (y, x), in pixels of the original."""
    return keypoints / np.append(scale, np.ones_like(scale[:1]))
