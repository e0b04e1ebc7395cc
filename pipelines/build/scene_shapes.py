"""The shapes of synthetic scenes: exact masks, smooth coverage, extreme pixels; and the patterns on them."""

import numpy as np
from PIL import Image

NAMES = ("disc", "square", "triangle", "star", "ring", "cross")
_SUPERSAMPLING = 3  # odd, so that one of the samples is the pixel's centre


def draw(rng: np.random.Generator, name: str, centre: np.ndarray, radius: float):
    """A turned and slightly stretched shape: its window (y1, x1, y2, x2), coverage and mask in the window.

    The window may reach out of the image. The mask is the pixels whose centre is in the shape; the coverage, in [0, 1],
    smooths the picture's edges.
    """
    low = np.floor(centre - radius * 1.2).astype(int)
    high = np.ceil(centre + radius * 1.2).astype(int)
    sides = (high - low) * _SUPERSAMPLING
    y, x = ((np.arange(n) + 0.5) / _SUPERSAMPLING + start for n, start in zip(sides, low, strict=True))
    dy, dx = (y - centre[0])[:, None] / radius, (x - centre[1])[None, :] / radius
    turn, stretch = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.15, 0.15))
    u = (np.cos(turn) * dx + np.sin(turn) * dy) * stretch
    v = (np.cos(turn) * dy - np.sin(turn) * dx) / stretch
    fine = inside(name, u, v).reshape(sides[0] // _SUPERSAMPLING, _SUPERSAMPLING, -1, _SUPERSAMPLING)
    middle = _SUPERSAMPLING // 2
    return (*low, *high), fine.mean(axis=(1, 3), dtype=np.float32), fine[:, middle, :, middle]


def inside(name: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points (u right, v down) are in the shape of about radius 1 around the origin."""
    if name == "disc":
        return u * u + v * v <= 0.9
    if name == "ring":
        squared = u * u + v * v
        return (squared >= 0.3) & (squared <= 1)
    if name == "square":
        return np.maximum(abs(u), abs(v)) <= 0.8
    if name == "cross":
        return (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= 1)
    if name == "triangle":  # three half planes at distance 0.5
        return np.maximum(v, abs(u) * np.sqrt(0.75) - v / 2) <= 0.5
    # Star: folded into the wedge between a tip (radius 1) and a notch (radius 0.45), within the edge between them.
    angle = abs((np.arctan2(u, -v) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    distance = np.hypot(u, v)
    along, across = distance * np.cos(angle), distance * np.sin(angle)
    notch = 0.45 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    return (along - 1) * notch[1] - across * (notch[0] - 1) <= 0


def extremes(mask: np.ndarray) -> np.ndarray:
    """Row and column [4, 2] of the topmost, leftmost, bottommost and rightmost pixel.

    Of several pixels in a line it is the middle, a half where they are even: then the mirror image of the point is the
    point of the mirror image, as training by flipped images takes for granted. Of several lines, such as two tips of a
    star, it is the one nearest to the centre of mass.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y, x = np.nonzero(mask)
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    points = (top, _middle(mask[top], x.mean())), (_middle(mask[:, left], y.mean()), left)
    return np.array([*points, (bottom, _middle(mask[bottom], x.mean())), (_middle(mask[:, right], y.mean()), right)])


def _middle(line: np.ndarray, centre: float) -> float:
    """Middle of the run of ones in a line that is nearest to a place."""
    ends = np.flatnonzero(np.diff(np.pad(line.astype(int), 1))).reshape(-1, 2)  # first one, and one after the last
    middles = (ends.sum(axis=1) - 1) / 2
    return middles[np.argmin(abs(middles - centre))]


def colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two colours [3] that are not far from each other."""
    base = rng.uniform(20, 235, 3)
    return base, np.clip(base + rng.uniform(-50, 50, 3), 0, 255)


def pattern(rng: np.random.Generator, height: int, width: int, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Image [H, W, 3] float32 that mixes two colours: flat, gradient, stripes, checks or blobs, and some noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn, period = rng.uniform(0, 2 * np.pi), rng.uniform(5, 24)
    along = np.cos(turn) * x + np.sin(turn) * y
    across = np.cos(turn) * y - np.sin(turn) * x
    kind = rng.integers(5)
    if kind == 0:
        share = np.zeros_like(y)
    elif kind == 1:
        share = (along - along.min()) / (np.ptp(along) + 1e-6)
    elif kind == 2:
        share = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    elif kind == 3:
        share = (np.floor(along / period) + np.floor(across / period)) % 2
    else:
        coarse = rng.uniform(0, 255, (max(2, height // 12), max(2, width // 12))).astype(np.uint8)
        share = np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC), np.float32) / 255
    noise = rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(0, 8))
    return one.astype(np.float32) + share[..., None] * (two - one).astype(np.float32) + noise
