"""How far boxes overlap, in NumPy; ops/boxes.py has it for TensorFlow."""

import numpy as np


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union [n, m] of boxes [n, 4] with boxes [m, 4]; 0 of empty boxes."""
    shared = _intersection(a, b)
    union = _area(a)[:, None] + _area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def pairwise_share(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share [n, m] of boxes [n, 4] that lies in boxes [m, 4]; 0 of empty boxes."""
    shared, area = _intersection(a, b), np.broadcast_to(_area(a)[:, None], [len(a), len(b)])
    return np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)


def _intersection(a, b):
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    return np.prod(np.maximum(sides, 0), axis=-1)


def _area(boxes):
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=-1)
