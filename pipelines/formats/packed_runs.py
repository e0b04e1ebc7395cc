"""Label Studio's run lengths of brushes: bytes in the form rle-pack of thi.ng/umbrella, of a picture of four channels.

First stand 32 bits, the number of values; 5, the bits of a value less 1; and four times 4, the bits of a run's length
less 1. The first bit of a run is set if one value follows for all of it, not set if one for each place; two bits say
which of the four lengths comes next; then come the length less 1 and the values.
"""

from typing import Any

import numpy as np

_HEADER = 32 + 5 + 4 * 4  # bits
_BITS = 8  # of a value


class Broken(ValueError):
    """Numbers that are no run lengths of a picture of the size; the message says why."""


def mask(numbers: Any, size: tuple[int, int]) -> np.ndarray:
    """Mask [H, W] bool of a list of bytes: where alpha, the last channel, is not 0; Broken if they are none."""
    try:
        data = bytes([*numbers])
    except (TypeError, ValueError) as error:
        raise Broken("they are no list of numbers from 0 to 255") from error
    count = 4 * size[0] * size[1]
    stated = int.from_bytes(data[:4], "big")
    if len(data) * 8 < _HEADER or stated != count:
        raise Broken(f"they are of {stated:,} values, and a picture of {size[0]} x {size[1]} pixels has {count:,}")
    return _alpha(data, count).reshape(size)


def _alpha(data: bytes, count: int) -> np.ndarray:
    """Whether each fourth value of `count` is not 0, bool [count / 4]."""
    whole = np.unpackbits(np.frombuffer(data, np.uint8))

    def read(at: int, bits: int) -> int:
        first, last = at // 8, -(-(at + bits) // 8)
        if last > len(data):
            raise Broken(f"they end at byte {len(data):,}, before the picture does")
        return int.from_bytes(data[first:last], "big") >> (8 * last - at - bits) & ((1 << bits) - 1)

    if read(32, 5) + 1 != _BITS:
        raise Broken(f"their values have {read(32, 5) + 1} bits, not {_BITS}")
    lengths = [read(37 + 4 * place, 4) + 1 for place in range(4)]
    alpha, at, done = np.zeros(count // 4, bool), _HEADER, 0
    while done < count:
        same, bits = read(at, 1), lengths[read(at + 1, 2)]
        run = min(read(at + 3, bits) + 1, count - done)
        at += 3 + bits
        pixels = slice(done // 4, (done + run) // 4)  # whose alpha is in the run
        end = at + _BITS * (1 if same else run)
        if same:
            alpha[pixels] = read(at, _BITS) != 0
        elif end > len(whole):
            raise Broken(f"they end at byte {len(data):,}, before the picture does")
        else:
            alpha[pixels] = np.packbits(whole[at:end])[3 - done % 4 :: 4] != 0
        at, done = end, done + run
    return alpha
