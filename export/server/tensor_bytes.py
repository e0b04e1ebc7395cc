"""Elements of a tensor of BYTES as they lie in memory: each with its length in front, 4 bytes, the least first."""

import struct


def pack(content: bytes) -> bytes:
    """An element with its length."""
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
