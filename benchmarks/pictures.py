"""Pictures to measure on, of coloured blocks."""

import numpy as np


def blocks(random: np.random.Generator, last: int, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Whole numbers below `last` of a shape [B, h, w, ...], each for a block of `side` pixels in height and width."""
    return random.integers(0, last, shape).repeat(side, axis=1).repeat(side, axis=2)


def photo(height: int = 480, width: int = 640, seed: int = 0) -> np.ndarray:
    """A photo uint8 [height, width, 3]."""
    return blocks(np.random.default_rng(seed), 256, (1, height // 16, width // 16, 3), 16)[0].astype(np.uint8)
