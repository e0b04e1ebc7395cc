"""Masks [S, S] of instances in their boxes of a picture, by the rules of `ops.masks.paste`, in NumPy alone.

Down a column of pixels a mask is linear between the centres of its cells. So its run lengths end where it crosses the
threshold, which is computed for many masks at once, and the value of no pixel has to be.
"""

from typing import NamedTuple

import numpy as np

from tfrecog.ops import rle

CLOSE = 1e-6  # A value this close to the threshold may be on its other side in float32: twice what sums are rounded by.
AT_ONCE = 2**15  # columns of pixels, at most: what is known of each crossing stays in the processor's cache
BLOCK = 1000  # of them, whose values at the centres of cells do


class _Places(NamedTuple):
    """The pixels of one axis of a picture that masks [D] can reach, and where they read the masks."""

    first: np.ndarray  # [D] int64
    count: np.ndarray  # [D] int64
    pixel: np.ndarray  # [P] int64, all of them, those of one mask behind those of the other
    at: np.ndarray  # [P] float32, in cells from the centre of the first
    begin: np.ndarray  # [D], where the first cell begins, in pixels
    pitch: np.ndarray  # [D], pixels of a cell

    def of_each(self) -> list[np.ndarray]:
        """`at`, mask by mask."""
        stops = np.cumsum(self.count)
        return [self.at[start:stop] for start, stop in zip(stops - self.count, stops, strict=True)]


def paste(masks, boxes, height, width, threshold=0.5, rule="torchvision") -> list[np.ndarray]:
    """Run lengths [D] of masks [D, S, S] (probabilities) in boxes [D, 4] of an image, by a rule of `ops.masks.paste`.

    Memory and time go with the outline of the object, not with the image.
    """
    masks, boxes, runs = np.asarray(masks, np.float32), np.asarray(boxes, np.float32).reshape(-1, 4), []
    step = max(1, AT_ONCE // max(1, width))
    for some in (slice(start, start + step) for start in range(0, len(masks), step)):
        runs += _paste(masks[some], boxes[some], height, width, threshold, rule)
    return runs


def soft(masks, boxes, height, width, rule="torchvision"):
    """Yields what `paste` compares with the threshold: top, left and values [columns, rows] of each mask."""
    masks, boxes = np.asarray(masks, np.float32), np.asarray(boxes, np.float32).reshape(-1, 4)
    rows, columns = _places(boxes, height, width, masks.shape[-1], rule)
    masks = masks if rule == "detectron2" else _bordered(masks)
    corners = zip(rows.first.tolist(), columns.first.tolist(), strict=True)
    for mask, corner, down, across in zip(masks, corners, rows.of_each(), columns.of_each(), strict=True):
        # Transposed: columns lie in one piece, as run lengths want them.
        yield *corner, _product(_product(_tents(across, len(mask)), mask.T), _tents(down, len(mask)).T)


def _paste(masks, boxes, height, width, threshold, rule):
    """`paste` of few masks."""
    rows, columns = _places(boxes, height, width, masks.shape[-1], rule)
    # The rule "detectron2" counts the cells without the border.
    border = int(rule == "detectron2")
    own, flips, doubtful = _crossings(masks, threshold, rows, columns, border, height)
    runs = _runs(own, flips, len(masks), height * width)
    doubtful = np.flatnonzero(doubtful)
    on = np.greater_equal if border else np.greater
    dense = soft(masks[doubtful], boxes[doubtful], height, width, rule) if len(doubtful) else ()
    for i, (top, left, crop) in zip(doubtful, dense, strict=True):
        runs[i] = rle.encode_crop(on(crop, threshold).T, top, left, height, width)
    return runs


def _bordered(masks):
    """Masks with a border of zeros."""
    return np.pad(masks, [(0, 0), (1, 1), (1, 1)])


def _places(boxes, height, width, cells, rule):
    """The `_Places` of rows and of columns."""
    of = _at_centres if rule == "detectron2" else _stretched
    return [of(boxes[:, axis], boxes[:, axis + 2], length, cells) for axis, length in enumerate((height, width))]


def _stretched(start, end, length, cells):
    """Those of boxes that grow by the border of zeros and are cut to whole pixels."""
    cells += 2
    half = (end - start) * np.float32(0.5) * np.float32(cells / (cells - 2))
    centre = (end + start) * np.float32(0.5)
    begin = (centre - half).astype(int)
    extent = np.maximum((centre + half).astype(int) - begin + 1, 1)
    first = np.maximum(begin, 0)
    count = np.maximum(np.minimum(begin + extent, length) - first, 0)
    own, pixel = _pixels(first, count)
    centre = (pixel - begin[own]).astype(np.float32) + np.float32(0.5)
    at = centre * (cells / extent).astype(np.float32)[own] - np.float32(0.5)
    return _Places(first, count, pixel, np.minimum(np.maximum(at, 0), cells - 1), begin, extent / cells)


def _at_centres(start, end, length, cells):
    """Those whose centres lie less than half a cell outside their box."""
    half_a_cell = 0.5 * (end - start) / cells
    edges = start - half_a_cell, np.ceil(end + half_a_cell)
    first, last = (np.where(end > start, np.clip(edge, 0, length), 0).astype(int) for edge in edges)
    own, pixel = _pixels(first, last - first)
    centre = pixel.astype(np.float32) + np.float32(0.5)
    at = (centre - start[own]) / (end - start)[own] * np.float32(cells) - np.float32(0.5)
    return _Places(first, last - first, pixel, at, start, (end - start) / np.float32(cells))


def _pixels(first, count):
    """Whose they are [P], and the pixels [P] from the first on, `count` [D] of each."""
    own = np.repeat(np.arange(len(first)), count)
    return own, np.arange(len(own)) + (first - np.cumsum(count) + count)[own]


def _product(left, right):
    """Matrix product in parts of 2^18 multiplications, up to which OpenBLAS takes one thread.

    More threads wait longer for each other than they compute: 8 times the processor time, on two cores.
    """
    rows = max(1, 2**18 // max(1, right.size))
    parts = [left[row : row + rows] @ right for row in range(0, len(left), rows)]
    return np.concatenate(parts) if parts else left @ right


def _tents(at, cells):
    """Weights [p, cells] of cells 0, 1, … at places [p]: 1 where a place is a cell, down to 0 at its neighbours."""
    weights = at[:, None] - np.arange(cells, dtype=np.float32)
    np.abs(weights, out=weights)
    np.subtract(1, weights, out=weights)
    return np.maximum(weights, 0, out=weights)


def _crossings(masks, threshold, rows, columns, border, height):
    """Where masks [D, S, S] cross the threshold down the columns of a picture.

    Returns:
        Whose crossings they are [n] and the first pixels behind them [n], counted down the columns; both ascend. And
        [D] bool, whether what is rounded in float32 may say otherwise of one of them.
    """
    size = masks.shape[-1] + 2
    own = np.repeat(np.arange(len(masks)), columns.count)
    before, above, below, doubtful = _changes(masks, threshold, own, columns.at.astype(float) + border)
    column = before // size
    own = own[column]
    cross = before - column * size + above / (above - below) - border
    # The first row behind it, if the pixels before and behind it are on their sides.
    first, stop = rows.first[own], (rows.first + rows.count)[own]
    with np.errstate(invalid="ignore"):  # A mask that is not of numbers is doubtful.
        row = ((cross + 0.5) * rows.pitch[own] + rows.begin[own] + 0.5).astype(int)
    row = np.minimum(np.maximum(row, first), stop)
    reading = np.append(rows.at, np.float32(np.inf))
    place = row + (np.cumsum(rows.count) - rows.count - rows.first)[own]
    close = CLOSE / np.abs(above - below)
    sure = (row == first) | (reading[place - 1] < cross - close)
    sure &= (row == stop) | (reading[place] > cross + close)
    doubtful[own[~sure]] = True
    return own, columns.pixel[column] * height + row, doubtful


def _changes(masks, threshold, own, at):
    """Where columns of pixels that lie `at` [P] in masks `own` [P] are on other sides of the threshold, cell by cell.

    Returns:
        The cells [n] before a change, counted down these columns of S + 2 each, with the border of zeros; their values
        and those of the next [n], less the threshold; and [D] bool, whether a mask has a value close to it.
    """
    size = masks.shape[-1] + 2
    cells = np.full([len(masks), size, size], -threshold, np.float32)
    np.subtract(masks.transpose(0, 2, 1), np.float32(threshold), out=cells[:, 1:-1, 1:-1])
    steps, cells = (cells[:, 1:] - cells[:, :-1]).reshape(-1, size), cells.reshape(-1, size)
    at = np.fmin(np.fmax(at, 0), size - 1)
    cell = np.minimum(at.astype(int), size - 2)
    share, doubtful, changes = (at - cell).astype(np.float32)[:, None], np.zeros(len(masks), bool), []
    for some in (slice(first, first + BLOCK) for first in range(0, max(1, len(own)), BLOCK)):
        values = steps.take(own[some] * (size - 1) + cell[some], axis=0)
        values *= share[some]
        values += cells.take(own[some] * size + cell[some], axis=0)
        values = values.ravel()
        on, off = values > CLOSE, values < -CLOSE
        doubtful[own[some][np.flatnonzero(on == off) // size]] = True
        before = np.flatnonzero(on[1:] != on[:-1])
        changes.append((before + some.start * size, values[before], values[before + 1]))
    return *map(np.concatenate, zip(*changes, strict=True)), doubtful


def _runs(own, flips, count, size):
    """Run lengths [count] of masks of `size` pixels that change at `flips` [n] of mask `own` [n], one of 0..count-1."""
    flips = flips + own * (size + 1)
    # What changes twice in one place, as from the bottom of a column to the top of the next, does not change.
    last = np.flatnonzero(np.diff(flips, append=-1))
    last = last[np.diff(last, prepend=-1) & 1 == 1]
    own, flips = own[last], flips[last]
    number = np.bincount(own, minlength=count)
    ends = np.cumsum(number + 2)
    marks = np.empty(len(flips) + 2 * count, int)
    marks[np.arange(len(flips)) + 2 * own + 1] = flips
    marks[ends - number - 2] = np.arange(count) * (size + 1)
    marks[ends - 1] = marks[ends - number - 2] + size
    runs = np.diff(marks)
    # Without the zeros behind a mask that goes on to the last pixel.
    stops = ends - 1 - ((number > 0) & (runs[ends - 2] == 0))
    return [runs[start:stop] for start, stop in zip((ends - number - 2).tolist(), stops.tolist(), strict=True)]
