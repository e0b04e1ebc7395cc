"""Pictures as cameras and microscopes write them: turned by their EXIF orientation, or of more than 8 bits."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
KINDS = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
HEIGHT, WIDTH, BOX = 24, 36, (4, 6, 16, 14)  # of the picture upright; y1, x1, y2, x2 of the red object in it


def upright():
    """uint8 [24, 36, 3]: a red object on gray, that no turn and no mirror brings back to its place."""
    pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    pixels[BOX[0] : BOX[2], BOX[1] : BOX[3]] = (230, 20, 20)
    return pixels


def stored(pixels, orientation):
    """The pixels of a file whose EXIF orientation makes viewers show `pixels`, by the table of EXIF 2.3, 4.6.4 A.

    Its row 0 is on the side of the picture that the table names first, its column 0 on the other one.
    """
    return {
        1: lambda: pixels,  # top, left
        2: lambda: pixels[:, ::-1],  # top, right
        3: lambda: pixels[::-1, ::-1],  # bottom, right
        4: lambda: pixels[::-1],  # bottom, left
        5: lambda: pixels.swapaxes(0, 1),  # left, top
        6: lambda: pixels[:, ::-1].swapaxes(0, 1),  # right, top
        7: lambda: pixels[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: lambda: pixels[::-1].swapaxes(0, 1),  # left, bottom
    }[orientation]()


def box_in_file(orientation):
    """The box of the object in the file's own pixels."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[BOX[0] : BOX[2], BOX[1] : BOX[3]] = True
    y, x = np.nonzero(stored(inside, orientation))
    return y.min(), x.min(), y.max() + 1, x.max() + 1


GRAY = upright()[..., 0]  # uint8 [24, 36]: 230 on 120
# Pixels by depth that mean GRAY, the type of pixels that they are, and the range that a data set of them has.
DEPTHS = {
    "10 bits": (GRAY.astype(np.uint16) * 4, "uint16", (0, 1023)),
    "12 bits": (GRAY.astype(np.uint16) * 16, "uint16", (0, 4095)),
    "16 bits": (GRAY.astype(np.uint16) * 257, "uint16", (0, 65535)),
    "fractions": (GRAY.astype(np.float32) / 255, "float32", (0, 1)),
    "large fractions": (GRAY.astype(np.float32), "float32", (0, 255)),
    "32 bits": (GRAY.astype(np.int32) * 16, "int32", (0, 4095)),
}


def file(pixels, kind="PNG", orientation=1, **options):
    """Bytes of an image file that stores `pixels` as they are; `orientation` may be any number."""
    exif, content = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, kind, exif=exif, **KINDS.get(kind, {}), **options)
    return content.getvalue()


def turned(pixels, orientation, kind="PNG"):
    """Bytes of an image file that viewers show as `pixels`, by its EXIF orientation."""
    return file(stored(pixels, orientation), kind, orientation)


def exif(orientation, order="<"):
    """EXIF data that state an orientation, in bytes of an order."""
    start = {"<": b"II", ">": b"MM"}[order]
    return start + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


def chunk(name, content):
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_exif(png, orientation):
    """The bytes of a PNG with EXIF data."""
    return png[:33] + chunk(b"eXIf", exif(orientation)) + png[33:]  # behind the header


def is_object(image):
    """Where an image [..., 3] has the object, which is brighter than the rest in red, in GRAY too."""
    return image[..., 0] > 175


def is_red(pixels):
    """[H, W]: where a picture uint8 [H, W, 3] has the object."""
    return (pixels[..., 0] > 175) & (pixels[..., 1] < 70)
