"""Where g moves the points of an image, and images, masks and boxes that are moved so.

Points are (y, x) in continuous pixels: the centre of the first pixel is (0.5, 0.5).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Move:
    """Where points [..., 2] of x lie in g(x) (`forth`), and those of g(x) in x (`back`)."""

    forth: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]

    @property
    def inverse(self) -> "Move":
        """That of the inverse of g."""
        return Move(self.back, self.forth)


STILL = Move(lambda points: points, lambda points: points)


@dataclass(frozen=True)
class Change:
    """g(x), and what is known of it.

    Attributes:
        image: g(x) [H, W, 3] float32 in 0..255.
        move: where its points come from; STILL if M_g is the identity.
        visible: [H, W] bool, the pixels of g(x) that show what x shows.
        inside: [H, W] bool, where things of x may be; unlike `visible`, behind an occluder too.
    """

    image: np.ndarray
    move: Move
    visible: np.ndarray
    inside: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.visible.shape

    @property
    def kept(self) -> np.ndarray:
        """[H, W] bool, the pixels of x that are in g(x), be they hidden there."""
        return within(self.move.forth(centres(*self.size)), self.size)

    def without_margin(self, margin: int) -> "Change":
        """The change, where what lies within so many pixels of an edge, in x or in g(x), is not visible."""
        far = within(self.move.back(centres(*self.size)), self.size, margin)
        return dataclasses.replace(self, visible=shrunk(self.visible, margin) & far)


def centres(height: int, width: int, stride: float = 1.0, first: float = 0.5) -> np.ndarray:
    """Points [height, width, 2] at the centres of cells, `stride` pixels apart; the first of them is (first, first)."""
    rows, columns = (first + stride * np.arange(n) for n in (height, width))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)


@dataclass(frozen=True)
class Grid:
    """Values [h, w, ...] of cells `stride` pixels apart, the first of which is centred at the point (first, first).

    Images, masks and label maps are grids of stride 1; maps of features have larger strides.
    """

    values: np.ndarray
    stride: float = 1.0
    first: float = 0.5

    @property
    def centres(self) -> np.ndarray:
        """Points [h, w, 2] of the centres of the cells."""
        return centres(*self.values.shape[:2], self.stride, self.first)

    def read(self, points: np.ndarray, kernel: str = "linear") -> np.ndarray:
        """Values [..., ...] at points [..., 2], float32.

        At the centre of a cell it is the cell's value, to the last bit. Beyond the border the grid is mirrored.

        Args:
            kernel: "cubic" (Keys 1981, a = -1/2), "linear" or "nearest".
        """
        # Rounded, so that a shift by whole cells comes out whole.
        at = np.round((points - self.first) / self.stride, 9)
        at = np.floor(at + 0.5) if kernel == "nearest" else at
        start = np.floor(at).astype(int)
        taps = {"cubic": (-1, 0, 1, 2), "linear": (0, 1)}[kernel] if np.any(at - start) else (0,)
        weights = {tap: _weight(np.abs(at - start - tap), kernel).astype(np.float32) for tap in taps}
        each = (..., *[None] * (self.values.ndim - 2))  # A weight is that of all values of a cell.
        total = np.float32(0)
        for dy in taps:
            for dx in taps:
                rows, columns = (_mirrored(start[..., i] + (dy, dx)[i], self.values.shape[i]) for i in (0, 1))
                values = self.values[rows, columns].astype(np.float32)
                total += (weights[dy][..., 0] * weights[dx][..., 1])[each] * values
        return total

    def moved(self, move: Move, kernel: str = "linear") -> np.ndarray:
        """M_g of the values; exact where cells come to lie on cells."""
        return self.read(move.back(self.centres), kernel)


def _weight(distance, kernel):
    if kernel != "cubic":
        return np.maximum(1 - distance, 0)
    near = 1 - 2.5 * distance**2 + 1.5 * distance**3
    far = 2 - 4 * distance + 2.5 * distance**2 - 0.5 * distance**3
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _mirrored(index, count):
    index = index % (2 * count)
    return np.minimum(index, 2 * count - 1 - index)


def within(points: np.ndarray, size: tuple[int, int], margin: float = 0.0) -> np.ndarray:
    """Whether points [..., 2] lie in an image of a size, at least `margin` pixels from its edges; [...] bool."""
    slack = 1e-6
    return np.all((points >= margin - slack) & (points <= np.array(size) - margin + slack), axis=-1)


def moved(image: np.ndarray, move: Move, samples: int = 1) -> Change:
    """g(x) of a move of the points of x [H, W, 3]; each pixel is the mean of samples² readings."""
    grid = centres(*image.shape[:2])
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    readings = [Grid(image).read(move.back(grid + np.array([dy, dx])), "cubic") for dy in offsets for dx in offsets]
    inside = within(move.back(grid), image.shape[:2])
    return Change(np.clip(np.mean(readings, axis=0), 0, 255).astype(np.float32), move, inside, inside)


def in_place(image: np.ndarray, visible: np.ndarray | None = None, inside: np.ndarray | None = None) -> Change:
    """A change after which all is where it was, as far as it is visible and inside [H, W] bool; None: everywhere."""
    everywhere = np.ones(image.shape[:2], bool)
    visible, inside = (everywhere if part is None else part for part in (visible, inside))
    return Change(np.clip(image, 0, 255).astype(np.float32), STILL, visible, inside)


def undone(change: Change) -> Change:
    """The inverse of g after g: x, but for what left the image and what was interpolated; M is the identity."""
    return dataclasses.replace(moved(change.image, change.move.inverse), move=STILL)


def boxes_after(move: Move, boxes: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """M_g of boxes [n, 4]: around what g makes of the masks [n, H, W] in them, else of the ellipses that they hold.

    Of an object without a mask a turned box says little; an ellipse is the middle of what it may be. Each side moves as
    far as that side of the mask or the ellipse, so that the identity and translations are exact.
    """
    angle = np.linspace(0, 2 * np.pi, 65)[:-1]
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    result = np.array(boxes, float).reshape(-1, 4)
    for i, box in enumerate(result):
        points = (box[:2] + box[2:]) / 2 + circle * (box[2:] - box[:2]) / 2
        if masks is not None and masks[i].any():
            points = _outline(masks[i])
        after = move.forth(points)
        box[:2] += after.min(axis=0) - points.min(axis=0)
        box[2:] += after.max(axis=0) - points.max(axis=0)
    return result


def _outline(mask):
    """Corners [p, 2] of the pixels at the edge of a mask [H, W]."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    pixels = np.argwhere(mask & ~inner)
    return np.concatenate([pixels + corner for corner in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(float)


def counts(mask: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixels [...] of a mask [H, W] in boxes [..., 4] of whole pixels, by sums over all above and to the left."""
    sums = np.pad(np.cumsum(np.cumsum(mask.astype(int), axis=0), axis=1), [(1, 0), (1, 0)])
    y1, x1, y2, x2 = np.moveaxis(np.clip(boxes, 0, np.tile(mask.shape, 2)), -1, 0)
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]


def shrunk(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Of a mask [H, W] bool the pixels whose neighbours so far away, in both directions, are in it and in the image."""
    place = np.moveaxis(np.indices(mask.shape), 0, -1)
    return counts(mask, np.concatenate([place - pixels, place + pixels + 1], axis=-1)) == (2 * pixels + 1) ** 2
