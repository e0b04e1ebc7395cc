"""Images and labels that come as arrays: IDX and NPZ files, and what their values mean."""

import gzip
import math
import os
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np

from ..build.problems import Refused

# The third byte of an IDX file (LeCun, "The MNIST database"); values are big-endian.
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_AGAIN = "Download or copy the file again."
# Names of a split in the keys of NPZ files, the split's own first.
_ALIASES = {"val": ("valid", "validation", "dev", "test"), "test": ("t10k", "val")}
_MOST_DIMENSIONS = 4
_MOST_RATIO, _FREE_BYTES = 250, 2**26  # MNIST is compressed to a fifth; labels of one class to a thousandth
_BLOCK = 4096  # images that are in float64 at a time; 60,000 would be large


def idx(path: str) -> np.ndarray:
    """The array of an IDX file, which may be gzipped; Refused says what is wrong with the file."""
    with open(path, "rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) if gzipped else raw as file:
                return _array(file, path, os.path.getsize(path))
        except EOFError as error:
            raise Refused(f"{path} is cut short: the gzip stream has no end. {_AGAIN}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise Refused(f"{path} is damaged: {error}. {_AGAIN}") from error


def _array(file: IO[bytes], path: str, stored: int) -> np.ndarray:
    """The array of an open IDX file, of so many bytes on the disk; no more is read than its header says."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _IDX_TYPES or not 0 < start[3] <= _MOST_DIMENSIONS:
        raise Refused(
            f"{path} is not an IDX file: it starts with {start.hex(' ') or 'nothing'}, not with 00 00, the type of the "
            f"values (08 for bytes) and the number of dimensions (1 to {_MOST_DIMENSIONS}). Give an IDX file, such as "
            "MNIST's train-images-idx3-ubyte.gz, or --npz."
        )
    kind, dimensions = np.dtype(_IDX_TYPES[start[2]]), start[3]
    sides = file.read(4 * dimensions)
    if len(sides) < 4 * dimensions:
        raise Refused(f"{path} is cut short: {4 + len(sides)} bytes, less than its header. {_AGAIN}")
    shape = np.frombuffer(sides, ">u4").tolist()
    expected = math.prod(shape) * kind.itemsize
    _refuse_bomb(path, expected, stored)
    data = file.read(expected)
    if len(data) < expected or file.read(1):
        what = "is cut short" if len(data) < expected else "is too long"
        header = f"its header says {' x '.join(map(str, shape))}, {4 + len(sides) + expected:,} bytes"
        there = f"it has {4 + len(sides) + len(data):,}" if len(data) < expected else "it has more"
        raise Refused(f"{path} {what}: {header}, and {there}. {_AGAIN}")
    return np.frombuffer(data, kind).reshape(shape)


def _refuse_bomb(path: str, inflated: int, stored: int) -> None:
    """Refused if so many bytes on the disk would become so many more that they can be no pictures."""
    if inflated > max(_FREE_BYTES, _MOST_RATIO * stored):
        raise Refused(
            f"{path} has {stored:,} bytes, and would become {inflated:,} in memory, more than {_MOST_RATIO} times as "
            f"many. {_AGAIN}"
        )


def npz(path: str, split: str, keys: tuple[str, str] | None = None) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """Images and labels of an NPZ file, and their keys; Refused says which it has.

    Without keys it is those of the split (x_train, train_images), else the only ones (x, images).
    """
    pairs = [keys] if keys else _usual_keys(split)
    try:
        with np.load(path, allow_pickle=False) as file:
            fits = next(((x, y) for x, y in pairs if x in file and y in file), None)
            if fits is None:
                expected = " and ".join(map(repr, keys)) if keys else f"x_{split} and y_{split}, or x and y"
                raise Refused(
                    f"{path} does not have the keys {expected}; it has {', '.join(file.files) or 'none'}. Name them "
                    "with --npz_images=KEY --npz_labels=KEY."
                )
            for name in fits:
                member = file.zip.getinfo(f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name)
                _refuse_bomb(f"{path} ({name})", member.file_size, member.compress_size)
            images, labels = (file[name] for name in fits)
            if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):  # NumPy returns other bytes.
                raise ValueError(f"{fits[0]} or {fits[1]} is no array")
            return images, labels, fits
    except Refused:
        raise
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Of a damaged file NumPy and zipfile raise almost anything.
        raise Refused(f"{path} is not a valid NPZ file of plain arrays ({error}). {_AGAIN}") from error


def _usual_keys(split: str) -> list[tuple[str, str]]:
    names = [split, *_ALIASES.get(split, ())]
    pairs = [(f"x_{name}", f"y_{name}") for name in names]
    pairs += [(f"{name}_images", f"{name}_labels") for name in names]
    return pairs + [(x, y) for x in ("x", "X", "images", "data", "arr_0") for y in ("y", "labels", "target", "arr_1")]


def pictures(array: np.ndarray, path: str, bounds: Sequence[float] = ()) -> tuple[np.ndarray, str]:
    """Images uint8 [N, H, W] or [N, H, W, 3] of an array, and in words how its values became bytes.

    Args:
        array: [N, H, W], [N, H, W, 1 or 3] or rows [N, S S] of square images.
        path: for messages.
        bounds: the values of black and white. Without: 0 and 255 for bytes, and for other types what the values
            themselves tell: -1 and 1 if one is negative, 0 and 1 if none exceeds 1, else 0 and 255.
    """
    shape = array.shape
    if array.ndim == 2 and (side := math.isqrt(shape[1])) ** 2 == shape[1] > 0:
        array = array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)) or 0 in array.shape[1:]:
        hint = " These may be the labels: are the two files swapped?" if array.ndim == 1 else ""
        raise Refused(
            f"{path}: images of shape {list(shape)}, expected [N, H, W], [N, H, W, 3] or rows of square images.{hint}"
        )
    if not len(array):
        raise Refused(f"{path}: it has no image")
    if array.dtype.kind not in "buif":
        raise Refused(f"{path}: images of type {array.dtype}, expected numbers")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise Refused(f"{path}: values that are not finite; correct them first")
    black, white = bounds or _bounds(array, low, high)
    if low < black or high > white:
        raise Refused(
            f"{path}: values from {low:g} to {high:g}, expected {black:g} (black) to {white:g} (white); give their "
            "range with --range=BLACK,WHITE"
        )
    if (black, white) == (0, 255) and array.dtype.kind in "bui":
        return array.astype(np.uint8), "bytes as they are"
    made, worst = np.empty(array.shape, np.uint8), 0.0
    for start in range(0, len(array), _BLOCK):
        levels = (array[start : start + _BLOCK].astype(np.float64) - black) * (255 / (white - black))
        made[start : start + _BLOCK] = rounded = np.rint(levels)
        worst = max(worst, float(np.abs(levels - rounded).max()))
    # float32 keeps a byte v as v / 255 to 255 x 2^-24 = 2e-5 of a level.
    exact = "exactly" if worst < 1e-3 else f"by rounding, by at most {worst:.2f} of a level"
    return made, f"values {black:g} (black) to {white:g} (white) became bytes 0 to 255 {exact}"


def _bounds(array: np.ndarray, low: float, high: float) -> tuple[float, float]:
    if array.dtype.kind == "b" or (array.dtype.kind == "u" and high == 1):  # a picture of only two values
        return 0, 1
    if array.dtype.kind in "ui":
        return 0, 255
    return (-1, 1) if low < 0 else (0, 1) if high <= 1 else (0, 255)


def labels_of(array: np.ndarray, path: str, count: int, images: str) -> np.ndarray:
    """Labels int64 [N] of an array [N], [N, 1] or one-hot [N, K]; Refused if it is of another number of images."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and ((array == 0) | (array == array.max())).all() and ((array != 0).sum(axis=1) == 1).all():
        array = array.argmax(axis=1)
    if array.ndim != 1:
        hint = " These may be the images: are the two files swapped?" if array.ndim > 2 else ""
        raise Refused(f"{path}: labels of shape {list(array.shape)}, expected a number for each image.{hint}")
    if len(array) != count:
        raise Refused(
            f"{images} has {count:,} images and {path} has {len(array):,} labels; give the two files of one split"
        )
    if array.dtype.kind not in "buif" or (array != np.rint(array.astype(np.float64))).any():
        raise Refused(f"{path}: labels of type {array.dtype} that are not whole numbers")
    return array.astype(np.int64)
