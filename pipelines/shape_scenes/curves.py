"""Outlines of the classes of `pipelines.shapes`: closed curves by radial noise, alone or three in a chain.

Wavy contours by radial noise are the classes of SegRCDB (Shinoda et al. 2023); here corners, amplitude, aspect,
symmetry, rings and a hole tell them apart, and never a colour.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

CURVES, CHAINS, STROKES = 28, 8, 20
JOINTS = 4  # points of a chain: its ends, and the two joints between its three parts
_SEED = 20260  # of the forms of the classes, which are the same in every set
_SUPERSAMPLING = 3
_DEFORMATION = 0.15


@dataclass(frozen=True)
class Form:
    """What the objects of a class have in common; a curve has one part, a chain three."""

    outlines: tuple[np.ndarray, ...]  # of each part: corners [n, 2] (y, x), about 1 from the origin
    aspect: float  # height / width of a curve
    rings: tuple[float, ...] = ()  # scales of the curves within a curve, the largest first
    hole: float = 0.0  # scale of the hole in a curve; 0: none
    lengths: tuple[float, ...] = ()  # of a chain's parts, together 2
    widths: tuple[float, ...] = ()  # half the width of each


@dataclass(frozen=True)
class Figure:
    """One object's geometry in pixels; points are (y, x)."""

    parts: list[np.ndarray]  # corners [n, 2] of each
    rings: list[np.ndarray]
    holes: list[np.ndarray]
    joints: np.ndarray | None  # [JOINTS, 2] of a chain
    turn: float  # of its own axes, in radians
    radius: float


def forms() -> list[Form]:
    """The forms of the classes of shape, the curves first; always the same."""
    rng = np.random.default_rng(_SEED)
    corners = np.rint(np.geomspace(3, 40, CURVES)).astype(int)
    aspects = rng.permutation(np.geomspace(0.4, 2.5, CURVES))
    made = []
    for number in range(CURVES):
        rings = tuple(np.linspace(1, 0, int(rng.integers(1, 4)) + 1)[1:-1]) if number % 3 == 0 else ()
        hole = float(rng.uniform(0.35, 0.6)) if number % 5 == 2 else 0.0
        made.append(Form((outline(rng, corners[number]),), float(aspects[number]), rings, hole))
    for _ in range(CHAINS):
        lengths, widths = rng.uniform(0.4, 1, 3), rng.uniform(0.12, 0.4, 3)
        parts = tuple(outline(rng, int(rng.integers(4, 24)), most=0.25) for _ in range(3))
        made.append(Form(parts, 1.0, lengths=tuple(2 * lengths / lengths.sum()), widths=tuple(widths)))
    return made


def strokes() -> list[Form]:
    """The forms of the distractors: lines of one to four thin parts, bent between them; always the same."""
    rng, made = np.random.default_rng(_SEED + 1), []
    bar = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    for number in range(STROKES):
        parts = 1 + number % 4
        lengths, width = rng.uniform(0.4, 1, parts), rng.uniform(0.03, 0.09)
        made.append(Form((bar,) * parts, 1.0, lengths=tuple(2 * lengths / lengths.sum()), widths=(width,) * parts))
    return made


def outline(rng: np.random.Generator, corners: int, most: float = 0.4) -> np.ndarray:
    """Corners [n, 2] of a closed curve: radii 1 +- at most `most`, maybe symmetrical, with straight edges or smooth."""
    noise = rng.uniform(-1, 1, corners)
    symmetry = rng.integers(3)
    if symmetry == 1:  # to a line
        noise = (noise + noise[::-1]) / np.sqrt(2)
    elif symmetry == 2 and corners >= 6:  # of turns: 2 or 3 radii in turn
        period = 2 if corners % 2 == 0 else 3
        noise = np.resize(noise[:period], corners)
    radii = 1 + rng.uniform(0.05, most) * np.clip(noise, -1, 1)
    if rng.random() < 0.5:
        count = 96
        spectrum = np.fft.rfft(radii)
        if corners % 2 == 0:
            spectrum[-1] /= 2  # The middle frequency stands for two.
        radii = np.fft.irfft(spectrum, count) * count / corners
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return np.stack([radii * np.sin(angles), radii * np.cos(angles)], axis=1)


def figure(rng: np.random.Generator, form: Form, centre: np.ndarray, radius: float) -> Figure:
    """An object of a form: turned, deformed by up to 15 %, foreshortened along some direction."""
    turn, view = rng.uniform(0, 2 * np.pi, 2)
    squash = rng.uniform(0.65, 1)
    across = _rotation(view)
    placed = across.T @ np.diag([squash, 1.0]) @ across @ _rotation(turn) * radius
    if form.lengths:
        return _chain(rng, form, centre, radius, placed, turn)
    stretch = np.sqrt(form.aspect * np.exp(rng.uniform(-_DEFORMATION, _DEFORMATION)))
    points = _deformed(rng, form.outlines[0]) * [stretch, 1 / stretch] / max(stretch, 1 / stretch)
    scaled = [scale * points @ placed.T + centre for scale in (1.0, *form.rings, form.hole)]
    holes = [scaled[-1]] if form.hole else []
    return Figure([scaled[0]], scaled[1 : 1 + len(form.rings)], holes, None, turn, radius)


def _chain(rng, form, centre, radius, placed, turn) -> Figure:
    """Parts from joint to joint, each bent against the one before."""
    bends = np.cumsum([0, *rng.uniform(-1.1, 1.1, len(form.lengths) - 1)])
    steps = np.array(form.lengths)[:, None] * np.stack([np.sin(bends), np.cos(bends)], axis=1)
    joints = np.concatenate([[[0, 0]], np.cumsum(steps, axis=0)])
    joints -= joints.mean(axis=0)
    parts = []
    for start, end, bend, corners, width in zip(joints, joints[1:], bends, form.outlines, form.widths, strict=False):
        half = np.linalg.norm(end - start) / 2
        along = _deformed(rng, corners) * [width, half + width / 2]  # Parts overlap at their joint.
        parts.append((along @ _rotation(bend).T + (start + end) / 2) @ placed.T + centre)
    return Figure(parts, [], [], joints @ placed.T + centre, turn, radius)


def _deformed(rng, points):
    """Points, nearer or farther by a smooth wave around the origin."""
    angles = np.arctan2(points[:, 0], points[:, 1])
    strength, phases = rng.uniform(0, _DEFORMATION / 2, 2), rng.uniform(0, 2 * np.pi, 2)
    wave = sum(s * np.sin(k * angles + p) for k, s, p in zip((2, 3), strength, phases, strict=True))
    return points * (1 + wave)[:, None]


def _rotation(angle):
    """Matrix [2, 2] that turns points (y, x)."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def window(figure: Figure, margin: int = 4) -> tuple[int, int, int, int]:
    """Whole pixels (y1, x1, y2, x2) around a figure and a margin; they may reach out of the picture."""
    points = np.concatenate(figure.parts)
    low, high = np.floor(points.min(axis=0)).astype(int) - margin, np.ceil(points.max(axis=0)).astype(int) + margin
    return (*low.tolist(), *high.tolist())


def cover(figure: Figure, at: tuple[int, int, int, int]) -> np.ndarray:
    """How much of each pixel of a window [h, w] is within the figure, in [0, 1] float32."""
    return _filled(figure.parts, figure.holes, at, _SUPERSAMPLING)


def tones(figure: Figure, at: tuple[int, int, int, int]) -> np.ndarray:
    """How much of each pixel of a window [h, w] is in every other of the rings, in [0, 1] float32."""
    return _filled(figure.rings[::2], figure.rings[1::2], at, 1)


def _filled(filled, emptied, at, finer):
    y1, x1, y2, x2 = at
    canvas = Image.new("L", ((x2 - x1) * finer, (y2 - y1) * finer))
    draw = ImageDraw.Draw(canvas)
    for polygons, value in ((filled, 255), (emptied, 0)):
        for points in polygons:
            # Pillow's corners are pixel indices.
            draw.polygon(((points[:, ::-1] - (x1, y1)) * finer - 0.5).ravel().tolist(), fill=value)
    canvas = canvas.reduce(finer) if finer > 1 else canvas
    return np.asarray(canvas, np.float32) / 255
