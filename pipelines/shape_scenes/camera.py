"""Light and camera: what becomes of a drawn scene before it is a picture."""

import numpy as np
from PIL import Image, ImageFilter


def photograph(rng: np.random.Generator, image: np.ndarray) -> Image.Image:
    """The picture of a scene [H, W, 3] in 0..255: light, gamma, hues, maybe grey, blur and noise."""
    height, width = image.shape[:2]
    image = image * _light(rng, height, width)
    gamma, greys = rng.uniform(0.7, 1.5), rng.random() < 0.1
    mixing = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    if greys:
        mixing = np.full((3, 3), 1 / 3)
    elif rng.random() < 0.3:
        mixing = mixing * rng.uniform(0.3, 1) + np.full((3, 3), 1 / 3) * rng.uniform(0, 0.7)  # pale
    image = image @ np.float32(mixing).T
    curve = (255 * (np.arange(256) / 255) ** gamma).astype(np.float32)
    image = curve[np.clip(image, 0, 255).astype(np.uint8)]
    blur = rng.uniform(0.3, 1.5) if rng.random() < 0.5 else 0.0
    if blur:
        soft = Image.fromarray(np.rint(image).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
        image = np.asarray(soft, np.float32)
    strength = rng.uniform(0, 12) * (rng.random() < 0.7)
    if strength:
        channels = 1 if greys or rng.random() < 0.3 else 3
        image = image + np.float32(strength) * rng.standard_normal((height, width, channels), np.float32)
    return Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))


def _light(rng, height, width):
    """Factors [H, W, 1] of a light: even, along a line or around a point, between 0.4 and 1.6."""
    low, high = np.sort(rng.uniform(0.4, 1.6, 2))
    kind = rng.integers(3)
    if kind == 0:
        return np.full((1, 1, 1), np.float32(rng.uniform(0.7, 1.3)))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    if kind == 1:
        turn = rng.uniform(0, 2 * np.pi)
        share = 0.5 + (np.cos(turn) * x + np.sin(turn) * y) / (2 * np.sqrt(2))
    else:
        cy, cx = rng.uniform(-1, 1, 2)
        share = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / rng.uniform(0.3, 2))
    return np.float32(low + (high - low) * share)[..., None].astype(np.float32)
