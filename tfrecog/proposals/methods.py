"""Proposals that no network makes, by the words of dataset.json; and files of proposals.

A file of proposals is an NPZ: `names` [n] (an image's source id or file name), `sizes` [n, 2] (height and width of the
image that they are for), `counts` [n] of its proposals, `boxes` [sum of counts, 4] (y1, x1, y2, x2 in its pixels, image
after image), `scores` [sum of counts], and `source`, words for where they are from.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecog.cli import files, flags
from tfrecog.cli.errors import UserError
from tfrecog.proposals import selective_search
from tfrecog.proposals.selective_search import DEFAULT, Options

# Of `grid`: the sides of a square, each half an octave below the last, as long as it is this long or longer (pixels).
SHORTEST, STEP = 12, 2**-0.5
RATIOS = (0.5, 1.0, 2.0)  # height / width
KINDS = {"names": "Uiu", "sizes": "iu", "counts": "iu", "boxes": "fiu", "scores": "fiu"}  # of the arrays of a file


def describe(method: str, options: Options) -> str:
    """Words for dataset.json, from which `of_words` makes the same proposals."""
    mode = [options.mode] * (method == "selective_search")
    changed = flags.differences(options, DEFAULT).items()
    return " ".join([method, *mode, *(f"{name}={value}" for name, (value, _) in changed if name != "mode")])


def of_words(words: str) -> Callable[[np.ndarray], np.ndarray]:
    """What makes proposals [P, 4] of an image uint8 [H, W, 3] as the words of dataset.json say.

    UserError: they were not made from the image alone, or what they need is missing.
    """
    method, *rest = words.split() or [""]
    if method == "selective_search" and rest:
        options = _options(words, [f"mode={rest[0]}", *rest[1:]])
        selective_search.opencv()
        return lambda image: selective_search.propose(image, options)
    if method == "grid":
        options = _options(words, rest)
        return lambda image: grid(image.shape[0], image.shape[1], options)
    raise UserError(
        f"the proposals of the run's records ({words!r} in its dataset.json) were not made from the pictures alone, so "
        "there are none for other pictures. Put those into records, add their proposals with `python -m "
        "pipelines.proposals --method=file --file=...` and run tfrecog.evaluate; or train with proposals of selective "
        "search (--method=selective_search)"
    )


def _options(words, assignments) -> Options:
    try:
        return flags.change(DEFAULT, [f"--{assignment}" for assignment in assignments])
    except UserError as error:
        raise UserError(f"dataset.json: proposals {words!r} are not words of pipelines.proposals ({error})") from error


def grid(height: int, width: int, options: Options = DEFAULT) -> np.ndarray:
    """Boxes float32 [P, 4] of many sizes and three shapes, all over an image and within it, the largest first."""
    found, side = [np.array([[0.0, 0.0, height, width]])], float(min(height, width))
    while side >= max(SHORTEST, options.min_side):
        for ratio in RATIOS:
            h, w = side * ratio**0.5, side / ratio**0.5
            if h <= height and w <= width:
                # Neighbours are a quarter of their sides apart, or less.
                top = np.linspace(0, height - h, 1 + int(np.ceil((height - h) / (h / 4))))
                left = np.linspace(0, width - w, 1 + int(np.ceil((width - w) / (w / 4))))
                corners = np.stack(np.meshgrid(top, left, indexing="ij"), axis=-1).reshape(-1, 2)
                found.append(np.concatenate([corners, np.minimum(corners + np.array([h, w]), [height, width])], axis=1))
        side *= STEP
    boxes = np.concatenate(found)
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes[np.all(sides >= options.min_side, axis=1)][: options.max].astype(np.float32)


@dataclass(frozen=True)
class OfImage:
    """The proposals of an image in a file."""

    size: tuple[int, int]  # height, width
    boxes: np.ndarray  # float32 [P, 4], the best first


def save(path: str | Path, images: list[tuple[str, tuple[int, int], np.ndarray, np.ndarray]], source: str) -> None:
    """Writes a file of name, size, boxes [P, 4] and scores [P] of each image, whole or not at all."""
    with files.write(path, "wb") as file:
        np.savez_compressed(
            file,
            names=np.array([name for name, *_ in images], np.str_),
            sizes=np.array([size for _, size, *_ in images], np.int32).reshape(-1, 2),
            counts=np.array([len(boxes) for _, _, boxes, _ in images], np.int32),
            boxes=np.concatenate([np.zeros([0, 4]), *(boxes for _, _, boxes, _ in images)]).astype(np.float32),
            scores=np.concatenate([np.zeros(0), *(scores for *_, scores in images)]).astype(np.float32),
            source=np.array(source),
        )


def load(path: str | Path) -> tuple[dict[str, OfImage], str]:
    """Proposals of the images of a file by name, and the words for their source; UserError says what is wrong."""
    try:
        if Path(path).stat() and not zipfile.is_zipfile(path):  # np.load takes an NPY too, and gives another thing.
            raise ValueError("it is no NPZ")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in (*KINDS, "source") if key in file}
        if "names" in arrays and arrays["names"].dtype.kind == "S":
            arrays["names"] = np.char.decode(arrays["names"], "utf-8")
        _check(arrays)
        rows = [arrays[key].tolist() for key in ("names", "sizes", "counts")]
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except Exception as error:  # Of a damaged file NumPy and zipfile raise almost anything.
        raise UserError(
            f"{path} is no file of proposals: {error}. It needs names [n], sizes [n, 2], counts [n], boxes [m, 4] and "
            "scores [m]; `python -m tfrecog.propose` writes such files"
        ) from error
    found, start = {}, 0
    for name, (height, width), count in zip(*rows, strict=True):
        own = slice(start, start + count)
        start += count
        best = np.argsort(-arrays["scores"][own], kind="stable")
        found[str(name)] = OfImage((height, width), arrays["boxes"][own][best].astype(np.float32))
    return found, str(arrays.get("source", ""))


def _check(arrays: dict[str, np.ndarray]) -> None:
    """ValueError names the array of a file that is missing, or not what it should be."""
    missing = [key for key in KINDS if key not in arrays]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    for key, kinds in KINDS.items():
        if arrays[key].dtype.kind not in kinds:
            wanted = {"U": "texts", "i": "whole numbers", "f": "numbers"}[kinds[0]]
            raise ValueError(f"{key} are {arrays[key].dtype}, not {wanted}")
    names, counts = arrays["names"], arrays["counts"]
    n, total = names.size, int(np.sum(counts))
    shapes = {"names": (n,), "sizes": (n, 2), "counts": (n,), "boxes": (total, 4), "scores": (total,)}
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise ValueError(f"{key} have the shape {list(arrays[key].shape)}, and by names and counts {list(shape)}")
    if np.any(counts < 0):
        raise ValueError("counts are negative")
    unique, times = np.unique(names, return_counts=True)
    if np.any(times > 1):
        raise ValueError(f"{int(np.sum(times > 1))} names are there twice, such as {str(unique[times > 1][0])!r}")
    bad = ~(np.isfinite(arrays["boxes"]).all(axis=1) & np.isfinite(arrays["scores"]))
    if bad.any():
        of = np.repeat(names, counts)[bad]
        raise ValueError(f"{len(of)} boxes or scores are not finite, such as one of {str(of[0])!r}")


def clip(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [P, 4] within the image; those that have no area there are left out."""
    inside = np.clip(boxes, 0, np.array([height, width] * 2, np.float32))
    return inside[np.all(inside[:, 2:] > inside[:, :2], axis=1)]
