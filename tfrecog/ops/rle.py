"""Masks as COCO run lengths (column-major, zeros first), in NumPy alone: a device has no pycocotools."""

import numpy as np


def of_mask(mask):
    """Run lengths [r] int64 of mask [H, W]: down the columns, starting with the zeros (COCO's "counts")."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return np.concatenate([[0], runs] if flat.size and flat[0] else [runs]).astype(np.int64)


def to_mask(runs, height, width):
    """Mask [height, width] bool of its run lengths; inverse of `of_mask`."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(height, width, order="F")


def to_text(runs):
    """COCO's compressed string: 5 bits a character from the lowest on, from the third number on differences to the last
    but one; 32 says that the number goes on, and its last character's 16 that it is negative.
    """
    runs = [int(run) for run in runs]
    characters = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            last = value == (-1 if bits & 16 else 0)
            characters.append(chr(48 + (bits if last else bits | 32)))
            if last:
                break
    return "".join(characters)


def paste(masks, boxes, height, width, threshold=0.5, rule="torchvision"):
    """Run lengths [D] of masks [D, S, S] (probabilities) in boxes [D, 4] of an image, by a rule of `ops.masks.paste`.

    Only the pixels of each box are computed.
    """
    # A crop is transposed: columns lie in one piece, as run lengths want them.
    on = np.greater_equal if rule == "detectron2" else np.greater
    crops = soft(masks, boxes, height, width, rule)
    return [runs_of(on(crop, threshold).T, top, left, height, width) for top, left, crop in crops]


def soft(masks, boxes, height, width, rule="torchvision"):
    """Yields what `paste` compares with the threshold: top, left and values [columns, rows] of each mask."""
    masks, boxes = np.asarray(masks, np.float32), np.asarray(boxes, np.float32).reshape(-1, 4)
    return (_at_centres if rule == "detectron2" else _stretched)(masks, boxes, height, width)


def _stretched(masks, boxes, height, width):
    """Yields the first row and column of each box, grown and cut to whole pixels, and what is in it [columns, rows]."""
    masks = np.pad(masks, [(0, 0), (1, 1), (1, 1)])
    size = masks.shape[1]
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(0.5) * np.float32(size / (size - 2))
    centre = (boxes[:, 2:] + boxes[:, :2]) * np.float32(0.5)
    start, end = (centre - half).astype(int), (centre + half).astype(int)
    extent = np.maximum(end - start + 1, 1)
    for mask, (y, x), (rows, columns) in zip(masks, start, extent, strict=True):
        top, left, bottom, right = max(y, 0), max(x, 0), min(y + rows, height), min(x + columns, width)
        across = _interpolation(np.arange(top, bottom) - y, rows, size)
        down = _interpolation(np.arange(left, right) - x, columns, size)
        yield top, left, down @ mask.T @ across.T


def _at_centres(masks, boxes, height, width):
    """Yields the same of the pixels whose centres lie less than half a cell outside their box."""
    size = masks.shape[1]
    for mask, (y1, x1, y2, x2) in zip(masks, boxes, strict=True):
        top, rows = _reading(y1, y2, height, size)
        left, columns = _reading(x1, x2, width, size)
        yield top, left, columns @ mask.T @ rows.T


def runs_of(crop, top, left, height, width):
    """Run lengths (column-major, zeros first) of a mask [height, width] that is `crop` from (top, left) on, else 0."""
    rows, columns = crop.shape
    line = np.zeros(1 + columns * (rows + 1), bool)  # All columns, a zero before each and one after the last.
    line[1:].reshape(columns, rows + 1)[:, :rows] = crop.T
    column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), rows + 1)
    at = (left + column) * height + top + row
    # A run to the bottom of a column that goes on at the top of the next has two flips in one place: it is one run.
    double = at[1:] == at[:-1]
    at = at[~(np.r_[double, False] | np.r_[False, double])] if len(at) else at
    runs = np.diff(np.r_[0, at, height * width])
    return runs[:-1] if runs[-1] == 0 and len(runs) > 1 else runs


def _interpolation(pixel, extent, cells):
    """Weights [p, cells] with which pixels [p] read `cells` stretched to `extent` pixels."""
    at = (pixel.astype(np.float32) + np.float32(0.5)) * np.float32(cells / extent) - np.float32(0.5)
    at = np.clip(at, 0, cells - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(cells, dtype=np.float32)), 0)


def _reading(start, end, length, cells):
    """First pixel whose centre sees cells that span [start, end], and the weights [p, cells] from that pixel on."""
    if not end > start:
        return 0, np.zeros([0, cells], np.float32)
    half_a_cell = 0.5 * (end - start) / cells
    first, last = (int(np.clip(edge, 0, length)) for edge in (start - half_a_cell, np.ceil(end + half_a_cell)))
    centre = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    at = (centre - start) / (end - start) * np.float32(cells) - np.float32(0.5)
    return first, np.maximum(1 - np.abs(at[:, None] - np.arange(cells, dtype=np.float32)), 0)
