"""What data/image.py does to whole images, in NumPy and Pillow: for devices, servers and pipelines.

`decode` is the one reader of image files outside of TensorFlow's graph. It gives the pixels of `image.decode`, which
reads records (docs/decisions/0021-two-decoders-of-images.md).
"""

import contextlib
import io
import re
import sys
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from tfrecog.cli.errors import UserError
from tfrecog.data import depth, image_bombs, image_parts, orientation

# What Pillow may open a file as; its other readers are rarely tried, and that of EPS runs another program.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pgm", ".png", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
# How the files of pictures begin that people have beside those that are read; HEIC from the fifth byte on.
_OTHERS = {b"8BPS": "Photoshop", b"%!PS": "PostScript", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL"}
_HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_READ = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|II[*+]\0|MM\0[*+]|\0\0\0\x0cjP|\xff\x4f\xff\x51|RIFF....WEBP|BM....\0\0\0\0"
    rb"|....ftypavi[fs]|P[1-6]\s+(#|\d+\s)",
    re.DOTALL,
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# How Pillow unpacks 16 bits a colour → how it would find the lower byte where it looks for the upper one. It takes gray
# with alpha as four bytes, the second of which is the lower one of gray.
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_OTHER_BYTE = {f"{mode};16{one}": f"{mode};16{other}" for mode in ("RGB", "RGBA") for one, other in _OTHER.items()}
_OTHER_BYTE["LA;16B"] = "RGBA"
_BACK = {**_TURNS, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


class Unreadable(UserError):
    """Bytes that are no picture; the message says why, and not of which file."""

    def __init__(
        self, kind: Literal["empty", "unknown", "other format", "too large", "too many parts", "damaged"], what: str
    ):
        super().__init__(what)
        self.kind = kind


class Opened(NamedTuple):
    """A decoded picture as its file stores it."""

    picture: Image.Image  # in the mode that it has there
    kind: str  # of FORMATS
    orientation: int  # EXIF's 1 to 8: how viewers turn or mirror it; 1: not at all
    lower: Image.Image | None = None  # the lower bytes of 16 bits a colour, of which `picture` has the upper ones

    def upright(self) -> "Opened":
        """The picture as viewers show it."""
        method = _TURNS.get(self.orientation)
        lower = self.lower and _transposed(self.lower, method)
        return Opened(_transposed(self.picture, method), self.kind, 1, lower)

    def values(self) -> np.ndarray | None:
        """Pixels [H, W] or [H, W, 3] of more than 8 bits, uint16, int32 or float32; None of 8 or fewer."""
        if self.lower:
            upper, lower = (np.asarray(one.convert("RGB"), np.uint16) for one in (self.picture, self.lower))
            return upper * np.uint16(256) + lower
        mode = self.picture.mode
        if mode == "F":
            return np.asarray(self.picture)
        if mode.startswith("I"):  # Netpbm's 16 bits are in Pillow's 32.
            return np.asarray(self.picture).astype(np.int32 if mode == "I" and self.kind != "PPM" else np.uint16)
        return None

    def rgb(self, ranges: depth.Ranges = depth.WHOLE) -> np.ndarray:
        """Image uint8 [H, W, 3]; more bits by the ranges of a data set, without one 16 bits by their upper 8."""
        values = self.values()
        if values is not None:
            return depth.rgb(values, ranges)
        self.picture.info.pop("transparency", None)  # Pillow would warn that a palette loses its own.
        return np.asarray(self.picture.convert("RGB"))


def decode(data: bytes, ranges: depth.Ranges = depth.WHOLE, *, upright: bool = False) -> np.ndarray:
    """Image uint8 [H, W, 3] of the bytes of a file of one of FORMATS; Unreadable if they are none.

    `ranges` are those of `Opened.rgb`. `upright` turns it as its EXIF data say, as viewers do.
    """
    stored = opened(data)
    with _explained(data):
        return (stored.upright() if upright else stored).rgb(ranges)


def opened(data: bytes, *, colors: bool = True) -> Opened:
    """The decoded picture of the bytes of a file; Unreadable if they are none.

    Without `colors` a JPEG that is RGB comes as gray: all of it is read, and a third less time is taken.
    """
    picture = header(data)
    with _explained(data):
        if not colors:
            picture.draft("L", None)
        kind = "JPEG" if picture.format == "MPO" else picture.format or ""  # MPO: a JPEG with others behind it
        lower = _lower(data, picture)
        if kind == "TIFF":  # `load` turns it, and forgets how.
            turned = _of_tiff(picture)
            picture.load()
            back = _BACK.get(turned)
            return Opened(_transposed(picture, back), kind, turned, lower and _transposed(lower, back))
        picture.load()
        # Of a PNG Pillow takes the texts of a keyword "exif", too, and of several parts the last; of a JPEG all as one.
        exif = image_parts.exif(data) if kind in ("JPEG", "PNG") else picture.info.get("exif", b"")
        return Opened(picture, kind, orientation.of(exif), lower)


def _lower(data: bytes, picture: Image.Image) -> Image.Image | None:
    """The lower bytes of 16 bits a colour, of which Pillow takes the upper ones: read as if their order were the other.

    None of a picture that has not 16 bits a colour; of 16 bits of gray alone Pillow takes all.
    """
    modes = {_arguments(one)[0] for one in getattr(picture, "tile", ())}
    if not modes or not modes <= _OTHER_BYTE.keys():
        return None
    lower = header(data)
    assert isinstance(lower, ImageFile.ImageFile)
    for place, one in enumerate(lower.tile):
        mode, *rest = _arguments(one)
        lower.tile[place] = one._replace(args=(_OTHER_BYTE[mode], *rest) if rest else _OTHER_BYTE[mode])
    lower.load()
    return lower.getchannel("G") if modes == {"LA;16B"} else lower


def _arguments(tile) -> tuple:
    """Of a decoder of Pillow: the order of the bytes, and maybe others."""
    return tile.args if isinstance(tile.args, tuple) else (tile.args,)


def header(data: bytes) -> Image.Image:
    """A picture of which only the header is read, for its size and mode.

    Unreadable if it is of none of FORMATS, has more pixels than Pillow decodes (twice Image.MAX_IMAGE_PIXELS), or so
    many parts that it would be decoded for minutes.
    """
    if many := image_bombs.too_many(data):
        raise Unreadable("too many parts", f"it has {many}: decoding it could take minutes; re-save it")
    with _explained(data):
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    picture.info.pop("xmp", None)  # Pillow would turn a TIFF by these data, too.
    return picture


def begins_as_picture(start: bytes) -> bool:
    """Whether a file begins, in its first 12 bytes, as those of pictures do that people have, read here or not."""
    return bool(_READ.match(start) or _other_format(start))


def _other_format(start: bytes) -> str:
    """The format of a picture that is none of FORMATS; empty of other files."""
    if start[4:12] in _HEIC:
        return "HEIC"
    return next((name for begin, name in _OTHERS.items() if start.startswith(begin)), "")


def _of_tiff(picture: Image.Image) -> int:
    """How Pillow turns a TIFF, 1 to 8; 1 where its tags do not say so, or by no such number."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation)
    except MemoryError:
        raise
    except Exception:  # of damaged EXIF data, for which Pillow raises many kinds
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _transposed(picture: Image.Image, method: Image.Transpose | None) -> Image.Image:
    return picture if method is None else picture.transpose(method)


@contextlib.contextmanager
def _explained(data):
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error)) from error
    except UnidentifiedImageError as error:  # Pillow's words name an object in memory.
        if not data:
            raise Unreadable("empty", "it has no bytes") from error
        if other := _other_format(data[:12]):
            raise Unreadable("other format", f"it is {other}, which is not read: convert it to JPEG or PNG") from error
        raise Unreadable("unknown", f"{len(data):,} bytes that are no image of a known format") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds.
        what = str(error) or type(error).__name__
        remedy = ": it ends too early, so copy or download it again" if "truncated" in what.lower() else ""
        raise Unreadable("damaged", what + remedy) from error


def pillow(picture: np.ndarray, size) -> np.ndarray:
    """Image uint8 [h, w, 3] of a size (h, w) of an image uint8 [H, W, 3], by Pillow's filter BILINEAR."""
    height, width = map(int, size)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def resize(picture: np.ndarray, size: tuple[int, int], by: str = "bilinear") -> np.ndarray:
    """Image [h, w, 3] float32 of a size of a picture uint8 [H, W, 3], as `image.resize` has it.

    TensorFlow's bilinear kernel in the same order and precision, so that the same pixels come out.
    """
    if by == "pillow":
        return pillow(picture, size).astype(np.float32)
    (top, bottom, down), (left, right, across) = (_reading(*one) for one in zip(picture.shape, size, strict=False))
    down, across = down[:, None, None], across[:, None]

    def line(rows):
        here = picture[rows]
        first = here[:, left].astype(np.float32)
        return first + (here[:, right].astype(np.float32) - first) * across

    upper = line(top)
    return upper + (line(bottom) - upper) * down


def middle(picture: np.ndarray, short: int, crop: tuple[int, int], by: str) -> np.ndarray:
    """The middle [h, w, 3] float32 of a picture whose short side is resized to `short`: `image.middle`."""
    least = min(picture.shape[:2])
    size = (picture.shape[0] * short // least, picture.shape[1] * short // least)
    # A half is rounded to the even number, as there.
    top, left = (int(np.rint((side - part) / 2)) for side, part in zip(size, crop, strict=True))
    return resize(picture, size, by)[top : top + crop[0], left : left + crop[1]]


def _reading(length, pixels):
    """For each of so many pixels the two of `length` that it lies between, and how far from the first; float32."""
    scale = np.float32(length) / np.float32(pixels)
    at = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    low = np.floor(at)
    first = np.maximum(low.astype(int), 0)
    return first, np.minimum(np.ceil(at).astype(int), length - 1), at - low
