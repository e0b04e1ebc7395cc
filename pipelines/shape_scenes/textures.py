"""Fields and patterns in pixels: noise of natural spectra, palettes, and the textures on the objects."""

import numpy as np
from PIL import Image

# Textures that are classes: they stand on curves of any form, and on nothing else.
CLASSES = (
    "dots", "checks", "bricks", "zigzags", "rings", "grid", "spokes", "waves", "scales", "weave", "triangles", "spiral"
)  # fmt: skip
_TURN = 2 * np.pi


def spectrum_noise(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """Noise [H, W, C] float32 with the spectrum 1 / f^a, another a along each axis (Baradad et al. 2021).

    Of mean 0 and deviation 1.
    """
    down, across = np.clip(rng.uniform(0.5, 3.5) + rng.uniform(-0.3, 0.3, 2), 0.5, 3.5)
    y = np.abs(np.fft.fftfreq(height) * height)[:, None] + 0.5
    x = np.fft.rfftfreq(width)[None] * width + 0.5
    power = y**down + x**across
    phases = rng.standard_normal((channels, *power.shape, 2), np.float32).view(np.complex64)[..., 0]
    field = np.fft.irfft2(phases / power.astype(np.float32), (height, width), axes=(1, 2)).astype(np.float32)
    return normal(np.moveaxis(field, 0, -1))


def plasma(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """Noise [H, W, C] float32 as of random midpoint displacement: octaves, each rougher one fainter by one factor."""
    fade = rng.uniform(0.4, 0.8)
    field = np.zeros((height, width, channels), np.float32)
    cells, strength = 2, 1.0
    while cells < min(height, width):
        for channel in range(channels):
            coarse = rng.standard_normal((cells + 1, cells + 1), np.float32)
            field[..., channel] += strength * np.asarray(
                Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
            )
        cells, strength = 2 * cells, strength * fade
    return normal(field)


def normal(field: np.ndarray) -> np.ndarray:
    """A field [H, W, C] with mean 0 and deviation 1 in each channel."""
    field = field - field.mean(axis=(0, 1))
    return field / (field.std(axis=(0, 1)) + 1e-6)


def palette(rng: np.random.Generator) -> np.ndarray:
    """3 to 22 colours [n, 3]: any, or few hues around one."""
    count = int(rng.integers(3, 23))
    if rng.random() < 0.4:
        return rng.uniform(0, 255, (count, 3)).astype(np.float32)
    base, spread = rng.uniform(20, 235, 3), rng.uniform(15, 90)
    light = rng.uniform(-80, 80, (count, 1))
    return np.clip(base + light + rng.normal(0, spread, (count, 3)), 0, 255).astype(np.float32)


def mapped(field: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours [H, W, 3] of a field [H, W] of mean 0 and deviation 1, on the way through the colours [n, 3]."""
    place = np.clip(field * 0.25 + 0.5, 0, 1) * (len(colours) - 1)
    low = np.minimum(place.astype(np.int32), len(colours) - 2)
    share = (place - low)[..., None]
    return colours[low] * (1 - share) + colours[low + 1] * share


def share(name: str, u: np.ndarray, v: np.ndarray, period: float) -> np.ndarray:
    """How much of the second colour a texture has at (u right, v down), in pixels [h, w] from the object's middle."""
    p, q = u / period, v / period
    radius, angle = np.hypot(p, q), np.arctan2(q, p)
    if name == "dots":
        return _soft(0.3 - np.hypot(_fold(p), _fold(q)), period)
    if name == "checks":
        return ((np.floor(p) + np.floor(q)) % 2).astype(np.float32)
    if name == "bricks":
        row = np.floor(q)
        return _soft(0.38 - np.maximum(np.abs(_fold(q)), np.abs(_fold(p / 2 + row / 2)) * 2 - 0.5), period)
    if name == "zigzags":
        return _soft(0.25 - np.abs(_fold(q + np.abs(_fold(p / 1.5)) * 1.5)), period)
    if name == "rings":
        return _soft(0.25 - np.abs(_fold(radius)), period)
    if name == "grid":
        return _soft(np.maximum(np.abs(_fold(p)), np.abs(_fold(q))) - 0.36, period)
    if name == "spokes":
        return _soft(0.25 - np.abs(_fold(angle / _TURN * 8)), period)
    if name == "waves":
        return 0.5 + 0.5 * np.sin(_TURN * (q + 0.35 * np.sin(_TURN * p / 2)))
    if name == "scales":
        row = np.floor(q)
        return (q - row) * (np.hypot(_fold(p + row / 2), q - row - 0.1) < 0.62)
    if name == "weave":
        over = (np.floor(p) + np.floor(q)) % 2 == 0
        return np.where(over, np.abs(_fold(p + 0.5)), 1 - 1.2 * np.abs(_fold(q + 0.5)))
    if name == "triangles":
        return ((_fold(p) + _fold(q) > 0) ^ (_fold(p) > _fold(q))).astype(np.float32)
    return _soft(0.25 - np.abs(_fold(radius / 1.3 + angle / _TURN * 2)), period)  # spiral


def _fold(t):
    """Distance of t from the nearest whole number, with its sign: in -0.5..0.5."""
    return t - np.rint(t)


def _soft(inside, period):
    """1 where `inside`, in periods, is positive, with an edge of a pixel."""
    return np.clip(inside * period + 0.5, 0, 1)


def plain(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, radius: float, field: np.ndarray) -> np.ndarray:
    """The second colour's share [h, w] of a texture that is no class: flat, gradient, noise, blotches or wide stripes.

    `field` [h, w] is noise of mean 0 and deviation 1.
    """
    kind, turn = rng.integers(6), rng.uniform(0, _TURN)
    along = np.cos(turn) * u + np.sin(turn) * v
    if kind == 0:
        return np.full(u.shape, rng.random(), np.float32)
    if kind == 1:
        return np.clip(0.5 + along / (2 * radius), 0, 1)
    if kind == 2:
        return np.clip(0.5 + rng.uniform(0.1, 0.5) * field, 0, 1)
    if kind == 3:
        return (field > rng.uniform(-0.7, 0.7)).astype(np.float32)
    if kind == 4:
        return 0.5 + 0.5 * np.sin(_TURN * along / (radius * rng.uniform(0.3, 1.2)) + rng.uniform(0, _TURN))
    return np.clip(0.5 + 0.5 * along / radius + rng.uniform(0.1, 0.3) * field, 0, 1)
