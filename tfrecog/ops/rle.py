"""Masks as COCO's run lengths, in NumPy alone: down the columns, starting with the zeros."""

import itertools
import re

import numpy as np

_LONGEST = 7  # characters, 5 bits each, of a difference of two run lengths of 32 bits
_FEW = 200  # characters of a compressed string, up to which looking its numbers up takes less time than NumPy's calls
_TOO_LONG = "compressed run lengths have a number of more than 32 bits"
_NUMBER = re.compile(rb"[P-o]*[0-O]")  # of a compressed string: characters that say that it goes on, and its last


def encode(mask) -> np.ndarray:
    """Run lengths [r] int64 of a mask [H, W] (COCO's "counts")."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return np.concatenate([[0], runs] if flat.size and flat[0] else [runs]).astype(np.int64)


def decode(runs, height: int, width: int) -> np.ndarray:
    """Mask [height, width] bool of its run lengths, with or without zeros behind them; inverse of `encode`."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(height, width, order="F")


def encode_crop(crop, top: int, left: int, height: int, width: int) -> np.ndarray:
    """Run lengths of a mask [height, width] that is `crop` from (top, left) on, else 0."""
    rows, columns = crop.shape
    line = np.zeros(1 + columns * (rows + 1), bool)  # All columns, a zero before each and one after the last.
    line[1:].reshape(columns, rows + 1)[:, :rows] = crop.T
    flips = (line[1:] != line[:-1]).nonzero()[0]
    at = flips + flips // (rows + 1) * (height - rows - 1) + (left * height + top)
    # A run to the bottom of a column that goes on at the top of the next has two flips in one place: it is one run.
    double = at[1:] == at[:-1]
    if double.any():
        single = np.ones(len(at), bool)
        single[1:] &= ~double
        single[:-1] &= ~double
        at = at[single]
    ends = np.empty(len(at) + 2, np.int64)
    ends[0], ends[1:-1], ends[-1] = 0, at, height * width
    runs = ends[1:] - ends[:-1]
    return runs[:-1] if runs[-1] == 0 and len(runs) > 1 else runs


def area(runs) -> int:
    """Pixels of the mask."""
    return int(np.sum(runs[1::2]))


def box(runs, height: int) -> tuple[int, int, int, int]:
    """Tight box (y1, x1, y2, x2) around the mask; zeros if it is empty."""
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return 0, 0, 0, 0
    first, last = starts // height, (stops - 1) // height
    x1, x2 = int(first[0]), int(last[-1]) + 1
    # A run that goes on into the next column covers the bottom row and the top row.
    if np.any(first != last):
        return 0, x1, height, x2
    return int((starts % height).min()), x1, int(((stops - 1) % height).max()) + 1, x2


def to_coco(runs, height: int, width: int) -> dict:
    """COCO's compressed form of run lengths, {"size": [height, width], "counts": bytes}, as pycocotools has it."""
    return all_to_coco([runs], height, width)[0]


def all_to_coco(many, height: int, width: int) -> list[dict]:
    """That form of the run lengths of many masks of one size; takes a sixth of the time of one after the other."""
    size = int(height), int(width)
    return [{"size": [*size], "counts": text} for text in to_texts(many)]


def from_coco(compressed: dict) -> tuple[np.ndarray, int, int]:
    """Run lengths, height and width of COCO's compressed form; inverse of `to_coco`."""
    return from_text(compressed["counts"]), *compressed["size"]


def to_text(runs) -> bytes:
    """COCO's compressed string: 5 bits a character from the lowest on, from the fourth number on differences to the
    last but one; 32 says that the number goes on, and its last character's 16 that it is negative.
    """
    return to_texts([runs])[0]


def to_texts(many) -> list[bytes]:
    """COCO's compressed strings of the run lengths of many masks, all at once; see `to_text`."""
    if not len(many):
        return []
    counts = np.array([*map(len, many)])
    values = np.concatenate([np.asarray(runs, np.int64) for runs in many])
    starts = np.cumsum(counts) - counts
    later = np.arange(len(values)) - np.repeat(starts, counts) >= 3
    values[later] -= values[:-2][later[2:]]
    # The bits behind a number's last character are all equal to that one's 16: there is nothing more to say.
    size, length = values ^ (values >> 63), np.ones(len(values), np.int64)
    bits = int(size.max(initial=0)).bit_length()
    for group in range(4, bits, 5):
        length += size >> group > 0
    ends = np.cumsum(length)
    text, place, left = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8), ends - length, length
    while len(values):
        more = left > 1
        text[place] = 48 + (values & 31) + 32 * more
        values, place, left = values[more] >> 5, place[more] + 1, left[more] - 1
    text, ends = text.tobytes(), np.append(0, ends)
    cuts = ends[np.append(starts, len(ends) - 1)].tolist()
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def from_text(text: bytes | str) -> np.ndarray:
    """Run lengths of COCO's compressed string; inverse of `to_text`.

    Raises:
        ValueError: The string is cut off, or has characters or numbers that do not occur in such strings.
    """
    characters = text if isinstance(text, bytes) else text.encode()
    if len(characters) <= _FEW:
        numbers = _NUMBER.findall(characters)
        if b"".join(numbers) == characters:
            return _summed(np.array([*map(_VALUES.__getitem__, numbers)], np.int64))
    bits = np.frombuffer(characters, np.uint8) - np.uint8(48)
    if len(bits) and bits.max() >= 64:  # also of characters below 48
        strange = (int(bits[bits >= 64][0]) + 48) % 256
        raise ValueError(f"character {chr(strange)!r} in compressed run lengths")
    ends = np.flatnonzero(bits < 32) + 1
    if (ends[-1] if len(ends) else 0) < len(bits):
        raise ValueError("compressed run lengths end in the middle of a number")
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1]
    lengths = ends - starts
    if lengths.max(initial=0) > _LONGEST:
        raise ValueError(_TOO_LONG)
    place = np.arange(len(bits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((bits & 31) << (5 * place), starts) if len(starts) else starts
    runs -= (bits[ends - 1] >> 4 & 1) << (5 * lengths)
    return _summed(runs)


def _summed(runs: np.ndarray) -> np.ndarray:
    """Run lengths of the numbers of a compressed string, in their place."""
    np.add.accumulate(runs[1::2], out=runs[1::2])
    np.add.accumulate(runs[2::2], out=runs[2::2])
    return runs


class _Values(dict):
    """Values of a compressed string's numbers by their characters; the 1,056 of one or two are kept."""

    def __missing__(self, number: bytes) -> int:
        if len(number) > _LONGEST:
            raise ValueError(_TOO_LONG)
        value = sum((character - 48 & 31) << 5 * place for place, character in enumerate(number))
        value -= (number[-1] - 48 >> 4 & 1) << 5 * len(number)
        if len(number) <= 2:
            self[number] = value
        return value


_VALUES = _Values()
