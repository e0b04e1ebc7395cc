"""Masks as polygons along the edges of their pixels, in NumPy alone: COCO's rule of filling gives the same pixels."""

from collections import defaultdict

import numpy as np


def outline(mask: np.ndarray) -> np.ndarray:
    """One polygon [p, 2] (x, y) around all pixels of a mask [H, W]; [0, 2] if it is empty.

    Its parts and holes are joined by lines that are passed twice, so they enclose nothing. Parts go clockwise and holes
    the other way: both rules of filling, even-odd and nonzero, leave the holes empty.
    """
    found = rings(mask)
    if not found:
        return np.zeros([0, 2], np.int64)
    first = max(range(len(found)), key=lambda place: len(found[place]))
    longest = found.pop(first)
    joined = defaultdict(list)
    for ring in found:
        nearest = np.argmin(np.abs(longest - ring[0]).sum(axis=1))
        joined[int(nearest)] += [ring, ring[:1], longest[nearest : nearest + 1]]
    parts = []
    for place in range(len(longest)):
        parts += [longest[place : place + 1], *joined.get(place, [])]
    return np.concatenate(parts)


def rings(mask: np.ndarray) -> list[np.ndarray]:
    """Corners [p, 2] (x, y) of each closed line between pixels that are in a mask [H, W] and ones that are not."""
    padded = np.pad(np.asarray(mask, bool), 1)
    above_left, above, left, here = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    crossing = (above_left == here) & (above == left) & (above != here)
    count = (above_left ^ above ^ left ^ here) + 2 * crossing  # lines turn twice where four of them meet
    corners = np.repeat(np.argwhere(count), count[count > 0], axis=0)
    # Lines along a row join its corners in pairs, and lines along a column those of the column.
    number = np.arange(len(corners))
    by_column = np.lexsort((corners[:, 0], corners[:, 1]))
    along_column = np.empty_like(number)
    along_column[by_column] = by_column[number ^ 1]
    partner, free, found = along_column.tolist(), np.ones(len(corners), bool), []
    for start in range(len(corners)):
        if free[start]:
            path, place = [], start
            while not path or place != start:
                path += [place, place ^ 1]
                place = partner[place ^ 1]
            free[path] = False
            ring = corners[path]
            y, x = ring[0]  # the upper left corner: the line to the right of it has pixels below it, or those of a hole
            found.append((ring if here[y, x] else ring[::-1])[:, ::-1])
    return found
