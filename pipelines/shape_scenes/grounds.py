"""Grounds of a scene: dead leaves, noise of natural spectra, midpoint displacement, and plain patterns."""

import numpy as np
from PIL import Image, ImageDraw

from . import textures

_CORNERS = 16  # of a leaf


def ground(rng: np.random.Generator, height: int, width: int, noise: np.ndarray) -> np.ndarray:
    """A ground [H, W, 3] float32 in 0..255; `noise` [H, W] is a field of mean 0 and deviation 1 to make textures of."""
    kind = rng.random()
    if kind < 0.35:
        return _dead_leaves(rng, height, width, noise)
    if kind < 0.7:
        return _coloured(rng, textures.spectrum_noise(rng, height, width, 3))
    if kind < 0.85:
        return _coloured(rng, textures.plasma(rng, height, width, 3))
    return _pattern(rng, height, width)


def _coloured(rng, field):
    """Colours of noise [H, W, 3]: a palette along its first channel, or each channel for itself around a colour."""
    if rng.random() < 0.5:
        return textures.mapped(field[..., 0], textures.palette(rng))
    base, strength = rng.uniform(40, 215, 3), rng.uniform(8, 60)
    common = rng.uniform(0.3, 1)  # light and dark in all channels, beside the hues
    return np.float32(base) + np.float32(strength) * (common * field[..., :1] + (1 - common) * field)


def _dead_leaves(rng, height, width, noise):
    """Leaves of radii with the density r^-3 on one another, of one of six kinds of shape or of all (Baradad 2021)."""
    side = max(height, width)
    least = side * np.exp(rng.uniform(np.log(0.03), np.log(0.1)))
    radii = (rng.random(4096) * (side**-2.0 - least**-2.0) + least**-2.0) ** -0.5
    covered = np.cumsum(2 * np.minimum(radii, side / 2) ** 2)
    count = int(np.searchsorted(covered, 4 * height * width)) + 1
    radii = np.minimum(radii[:count], side)
    kinds = rng.integers(6, size=count) if rng.random() < 0.4 else np.full(count, rng.integers(6))
    centres, turns = rng.uniform((0, 0), (width, height), (count, 2)), rng.uniform(0, 2 * np.pi, count)
    points = _leaves(rng, kinds, turns) * radii[:count, None, None] + centres[:count, None]
    canvas = Image.new("I", (width, height))
    draw = ImageDraw.Draw(canvas)
    for number, corners in enumerate(points.reshape(len(points), -1).tolist()):
        draw.polygon(corners, fill=number)
    index = np.asarray(canvas)
    colours = textures.palette(rng)
    if rng.random() < 0.5:
        colours = colours[rng.integers(len(colours), size=count)]
    else:
        colours = rng.uniform(0, 255, (count, 3)).astype(np.float32)
    strength = (rng.uniform(0, 45, count) * (rng.random(count) < 0.8)).astype(np.float32)
    slope = (rng.normal(0, 25 / side, (count, 2))).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    offsets = rng.integers((height, width), size=(count, 2))[index]
    grain = noise[(np.int64(y) + offsets[..., 0]) % height, (np.int64(x) + offsets[..., 1]) % width]
    tone = strength[index] * grain + slope[index, 0] * y + slope[index, 1] * x
    return colours[index] + tone[..., None]


def _leaves(rng, kinds, turns):
    """Outlines [n, corners, 2] (x, y) of radius 1: discs, squares, rectangles, triangles, stars and blobs."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    square = 1 / np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles))) / np.sqrt(2)
    fold = (angles + np.pi / 3) % (2 * np.pi / 3) - np.pi / 3
    star = np.where(np.arange(_CORNERS) % 4 == 0, 1, np.where(np.arange(_CORNERS) % 2 == 0, 0.45, 0.6))
    radii = np.stack([np.ones(_CORNERS), square, square, 0.5 / np.cos(fold), star, np.ones(_CORNERS)])[kinds]
    blobs = kinds == 5
    radii[blobs] = rng.uniform(0.5, 1.1, (int(blobs.sum()), _CORNERS))
    flat = np.where(kinds == 2, rng.uniform(0.2, 0.7, len(kinds)), 1)[:, None]
    x, y = radii * np.cos(angles), radii * np.sin(angles) * flat
    cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _pattern(rng, height, width):
    """A gradient, stripes, checks, blobs or nothing between two colours, with little noise: documents, slides, sky."""
    one, two = rng.uniform(0, 255, (2, 3)) if rng.random() < 0.7 else rng.uniform(190, 255, (2, 3))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn, period = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(4), np.log(60)))
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    kind = rng.integers(5)
    if kind == 0:
        share = (along - along.min()) / np.ptp(along)
    elif kind == 1:
        share = (np.abs(along / period % 1 - 0.5) < rng.uniform(0.1, 0.4)).astype(np.float32)
    elif kind == 2:
        share = (np.floor(along / period) + np.floor(across / period)) % 2
    elif kind == 3:
        coarse = rng.random((max(2, int(height / period)), max(2, int(width / period))), np.float32)
        share = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    else:
        share = np.zeros_like(y)
    noise = rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(0, 6))
    return np.float32(one) + share[..., None] * np.float32(two - one) + noise
