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


def group(sizes, rows, shapes):
    """Groups of the rows [n] of resized images of sizes [n, 2], by the first of the canvases [c, 2] that holds them."""
    position = image.canvas_of(sizes, shapes).numpy()
    used = np.unique(position)
    return Groups(np.asarray(shapes)[used], tuple(rows[position == canvas] for canvas in used))


def group_alike(canvases):
    """Groups of all rows of images of canvases [n, 2], those of one canvas together."""
    canvases, group_of = np.unique(canvases, axis=0, return_inverse=True)
    return Groups(canvases, tuple(np.flatnonzero(group_of.ravel() == group) for group in range(len(canvases))))


def one_group(split, canvas):
    """All rows of a split in one group, whose images all come to the size [2] of a canvas."""
    return Groups(np.array([canvas]), (np.arange(len(split)),))


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
    """Function of a step to the rows [B] int64 of its batch and their canvas [2] int32; epochs are in random order.

    A group's last batch is filled up from the start of the group's permutation, so that every image has its turn.
    """
    per_epoch = groups.steps(batch_size)

    @lru_cache(maxsize=2)
    def epoch_of(epoch):
        random = np.random.default_rng([seed, epoch])
        permuted = Groups(groups.canvases, tuple(random.permutation(rows) for rows in groups.rows))
        rows, canvases, _ = in_turn(permuted, batch_size)
        order = random.permutation(len(rows))
        return rows[order].astype(np.int64), canvases[order].astype(np.int32)

    def batch_of(step):
        epoch, position = divmod(int(step), per_epoch)
        rows, canvases = epoch_of(epoch)
        return rows[position], canvases[position]

    return batch_of
