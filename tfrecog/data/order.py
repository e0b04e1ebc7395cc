"""Which images make up which batch: a function of (seed, epoch, step), so a run resumes anywhere, to the bit."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tfrecog.data import image


@dataclass(frozen=True)
class Groups:
    """Images that share a canvas, so that a batch has one static shape."""

    canvases: np.ndarray  # [g, 2]
    rows: tuple[np.ndarray, ...]  # [g] rows of the index in each

    def steps(self, batch_size):
        """Batches that show every image."""
        return sum(-(-len(rows) // batch_size) for rows in self.rows)


def group(sizes, rows, short, long, aspect_ratios):
    """Groups of the rows [n] of images of sizes [n, 2], by the smallest canvas that holds the resized image."""
    shapes = image.canvases(short, long, aspect_ratios)
    position = image.canvas_of(image.target_size(sizes, short, long), shapes).numpy()
    used = np.unique(position)
    return Groups(shapes.numpy()[used], tuple(rows[position == canvas] for canvas in used))


def in_turn(groups, batch_size):
    """Batches in the order of the rows: rows [s, B], canvases [s, 2], valid [s, B]; fillers are not valid."""
    rows, canvases, valid = [], [], []
    for canvas, members in zip(groups.canvases, groups.rows, strict=True):
        batches = -(-len(members) // batch_size)
        rows.append(np.resize(members, [batches, batch_size]))
        valid.append(np.arange(batches * batch_size).reshape(batches, batch_size) < len(members))
        canvases.append(np.tile(canvas, [batches, 1]))
    return np.concatenate(rows), np.concatenate(canvases), np.concatenate(valid)


def shuffled(groups, batch_size, seed):
    """Function of an epoch to its batches, in random order: rows [s, B], canvases [s, 2].

    A group's last batch is filled up from the start of the group's permutation, so that every image has its turn.
    """

    @lru_cache(maxsize=2)
    def epoch_of(epoch):
        random = np.random.default_rng([seed, epoch])
        permuted = Groups(groups.canvases, tuple(random.permutation(rows) for rows in groups.rows))
        rows, canvases, _ = in_turn(permuted, batch_size)
        order = random.permutation(len(rows))
        return rows[order], canvases[order]

    return epoch_of
