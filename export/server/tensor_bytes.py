"""Values of tensors of V2 as they lie in memory. Of BYTES each has its length in front: 4 bytes, the least first."""

import struct

import numpy as np

_TYPES = {"FP32": "<f4", "FP64": "<f8", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1"}


def datatype(dtype: np.dtype) -> str:
    """V2's name of a type: FP32, INT32, UINT8; BYTES of texts."""
    return next((name for name, one in _TYPES.items() if dtype == np.dtype(one)), "BYTES")


def of_array(array: np.ndarray) -> bytes:
    """The values of an array."""
    return b"".join(map(pack, array.flat)) if array.dtype == object else array.tobytes()


def to_array(datatype: str, shape: list[int], raw: bytes) -> np.ndarray:
    """The array of a type and shape whose values these are; KeyError or ValueError if they are not."""
    if datatype != "BYTES":
        return np.frombuffer(raw, _TYPES[datatype]).reshape(shape)
    return np.array([*unpack(raw), None], object)[:-1].reshape(shape)


def pack(content: bytes) -> bytes:
    """An element of BYTES with its length."""
    return struct.pack("<I", len(content)) + content


def unpack(raw: bytes | memoryview, most: int | None = None) -> list[bytes]:
    """All elements, or the first `most` and one more; ValueError if the bytes end inside one."""
    elements, at = [], 0
    while at < len(raw) and (most is None or len(elements) <= most):
        if at + 4 > len(raw):
            raise ValueError("end inside a length; each element has 4 bytes of it in front")
        (length,) = struct.unpack_from("<I", raw, at)
        if at + 4 + length > len(raw):
            raise ValueError(
                f"end inside an element, which says that it has {length} bytes, and {len(raw) - at - 4} are left; each "
                "element has its length in front (4 bytes, the least first)"
            )
        elements.append(bytes(raw[at + 4 : at + 4 + length]))
        at += 4 + length
    return elements
