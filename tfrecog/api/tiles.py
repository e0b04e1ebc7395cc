"""Large pictures in tiles: small objects stay as large as they are, and what several tiles see becomes one."""

from collections.abc import Callable

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.inference.result_files import Detections
from tfrecog.ops import rle

Tile = tuple[int, int, int, int]  # top, left, bottom, right
_TOUCHES = 0.02  # of a side of a tile, between a box and the end that cuts it; two pixels at least
_SAME = 0.5  # overlap of two boxes of one class that are one object


def places(size: tuple[int, int], tile: tuple[int, int], overlap: float) -> list[Tile]:
    """Tiles of a size (height, width) that cover a picture, evenly; neighbours share at least `overlap` of a side."""
    if min(tile) < 1 or not 0 <= overlap < 1:
        raise UserError(f"tiles={tile}, overlap={overlap}: give height and width in pixels, and a share from 0 to 1")

    def starts(length, side):
        side = min(side, length)
        count = 1 + int(np.ceil((length - side) / max(1, side * (1 - overlap))))
        return [round(start) for start in np.linspace(0, length - side, count)], side

    (tops, height), (lefts, width) = (starts(*one) for one in zip(size, tile, strict=True))
    return [(top, left, top + height, left + width) for top in tops for left in lefts]


def detect(
    see: Callable[[np.ndarray], Detections], picture: np.ndarray, tile: tuple[int, int], overlap: float
) -> Detections:
    """Detections of a picture [H, W, 3] in tiles and in the whole of it, for objects that are larger than a tile.

    Of two of one class that overlap by half, one stays. It is the one with the higher score; but one that a tile cuts
    off yields to any that is whole, where it lies in that by half.
    """
    size = picture.shape[0], picture.shape[1]
    tiles = [(0, 0, *size), *places(size, tile, overlap)]
    tiles = tiles[:1] if len(tiles) == 2 else tiles
    parts, cut = [], []
    for top, left, bottom, right in tiles:
        found = _moved(see(np.ascontiguousarray(picture[top:bottom, left:right])), top, left, size)
        parts.append(found)
        cut.append(_is_cut(found.boxes, (top, left, bottom, right), size))
    boxes, labels, scores = (np.concatenate([getattr(p, k) for p in parts]) for k in ("boxes", "labels", "scores"))
    kept = _without_repeated(boxes, labels, scores, np.concatenate(cut))
    masks = None if parts[0].masks is None else [mask for part in parts for mask in part.masks or ()]
    keypoints = None if parts[0].keypoints is None else np.concatenate([part.keypoints for part in parts])
    return Detections(
        0,
        0,
        size,
        boxes[kept],
        labels[kept],
        scores[kept],
        None if masks is None else [masks[i] for i in kept],
        None if keypoints is None else keypoints[kept],
    )


def segment(
    see: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, tile: tuple[int, int], overlap: float
) -> np.ndarray:
    """Labels [H, W] of a picture [H, W, 3]; each pixel has that of the tile in which it lies farthest from an end."""
    height, width = picture.shape[:2]
    labels, depth = np.zeros((height, width), np.uint8), np.full((height, width), -1.0, np.float32)
    for top, left, bottom, right in places((height, width), tile, overlap):
        place = np.s_[top:bottom, left:right]
        down, across = _from_ends(top, bottom, height), _from_ends(left, right, width)
        own = np.minimum(down[:, None], across)
        better = own > depth[place]
        labels[place][better] = see(np.ascontiguousarray(picture[place]))[better]
        depth[place][better] = own[better]
    return labels


def _from_ends(start: int, end: int, length: int) -> np.ndarray:
    """How far each pixel of a side of a tile is from those ends of it that are no ends of the picture; float32."""
    pixels = np.arange(start, end, dtype=np.float32)
    before = pixels - start if start else np.full_like(pixels, length)
    return np.minimum(before, end - 1 - pixels if end < length else length)


def _moved(found: Detections, top: int, left: int, size: tuple[int, int]) -> Detections:
    """Detections of a tile, in the picture of a size."""
    if found.size == size:
        return found
    masks, keypoints = found.masks, found.keypoints
    if masks is not None:
        masks = [_moved_mask(mask, top, left, size) for mask in masks]
    if keypoints is not None:
        keypoints = keypoints + np.array([top, left, 0.0])
    return Detections(
        0, 0, size, found.boxes + np.array([top, left, top, left]), found.labels, found.scores, masks, keypoints
    )


def _moved_mask(mask: dict, top: int, left: int, size: tuple[int, int]) -> dict:
    crop = rle.decode(*rle.from_coco(mask))
    return rle.to_coco(rle.encode_crop(crop, top, left, *size), *size)


def _is_cut(boxes: np.ndarray, tile: Tile, size: tuple[int, int]) -> np.ndarray:
    """Which of the boxes [n, 4] touch an end of the tile that is no end of the picture; bool [n]."""
    top, left, bottom, right = tile
    ends = np.array([top, left, bottom, right], float)
    inner = np.array([top > 0, left > 0, bottom < size[0], right < size[1]])
    near = np.maximum(2.0, _TOUCHES * np.array([bottom - top, right - left] * 2))
    return ((np.abs(boxes - ends) <= near) & inner).any(axis=1)


def _without_repeated(boxes, labels, scores, cut) -> np.ndarray:
    """Positions of those that stay, the highest score first."""
    order = np.lexsort((-scores, cut))
    areas, stays = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.ones(len(boxes), bool)
    for place, i in enumerate(order):
        if not stays[i]:
            continue
        others = order[place + 1 :]
        others = others[stays[others] & (labels[others] == labels[i])]
        sides = np.minimum(boxes[others, 2:], boxes[i, 2:]) - np.maximum(boxes[others, :2], boxes[i, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        whole = np.where(cut[others], areas[others], areas[others] + areas[i] - shared)
        stays[others[shared > _SAME * whole]] = False
    return order[stays[order]][np.argsort(-scores[order[stays[order]]], kind="stable")]
