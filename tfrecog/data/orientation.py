"""How EXIF data say that a picture is to be turned or mirrored, as browsers read them."""

import struct

TAG, SHORT = 0x0112, 3  # of a TIFF directory: the orientation, and the type of its value
PREFIX = b"Exif\0\0"  # of JPEG's EXIF data, and of some writers' of WebP
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # how the data begin → the order of their bytes


def of(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8, of EXIF data; 1, not turned, where they state none, are damaged, or there are none.

    It is one number of 16 bits in the first directory. Whatever else stands there is none. The graph of a SavedModel
    has the same rule (export/served_graph/upright.py).
    """
    exif = exif.removeprefix(PREFIX)
    order = ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(count):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH2x", exif, start + 2 + 12 * entry)
            if tag == TAG:
                return value if (kind, values) == (SHORT, 1) and 1 <= value <= 8 else 1
    except struct.error:  # The data end before.
        pass
    return 1
