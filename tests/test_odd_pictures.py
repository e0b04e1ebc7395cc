"""Pictures as phones and tools write them at their oddest: all readers see the same picture, or say the same of it."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.served_graph import upright
from export.server import pictures
from export.server.errors import Refused
from pipelines.build.problems import LeftOut, Reporter
from pipelines.formats import image_file
from tests import photos
from tfrecog.data import image, image_numpy, orientation
from tfrecog.data.reading import AS_SHOWN
from tfrecog.inference import image_files

EXIF = orientation.PREFIX + photos.exif(6)
LYING = Image.fromarray(np.ascontiguousarray(photos.stored(photos.upright(), 6)))
LYING_GRAY, BLACK = LYING.convert("L"), Image.new("RGB", LYING.size)
HOLED = LYING.convert("RGBA")
HOLED.putalpha(LYING_GRAY)
UPRIGHT = Image.fromarray(photos.upright()).convert("RGBA")
UPRIGHT.putalpha(7)
TWO_DIRECTORIES = EXIF[:-4] + struct.pack("<I", 26) + photos.exif(8)[8:]
MORE = {"save_all": True, "append_images": [BLACK]}
FRAMES = MORE | {"duration": 100}


def _file(picture, kind, **options):
    turned = {"tiffinfo": {photos.ORIENTATION: 6}} if kind == "TIFF" else {"exif": EXIF}
    content = io.BytesIO()
    picture.copy().save(content, kind, **(turned | options))
    return content.getvalue()


JPEG, PNG = (_file(LYING, kind, **photos.KINDS[kind]) for kind in ("JPEG", "PNG"))
# Of the picture, and how far the pixels of a kind may be from it: formats with losses round them.
COLOURED = {
    "CMYK.jpg": (_file(LYING.convert("CMYK"), "JPEG", quality=95), 12),
    "progressive.jpg": (_file(LYING, "JPEG", quality=95, subsampling=0, progressive=True), 12),
    "two pictures.mpo": (_file(LYING, "MPO", quality=95, subsampling=0, **MORE), 12),
    "something behind.jpg": (JPEG + b"something", 12),
    "something behind.png": (PNG + b"something", 0),
    "frames.webp": (_file(LYING, "WEBP", lossless=True, **FRAMES), 0),
    "frames.png": (_file(LYING, "PNG", **FRAMES), 0),
    "palette.png": (_file(LYING.quantize(4), "PNG"), 0),
    "palette with holes.png": (_file(LYING.quantize(4), "PNG", transparency=b"\0\x80\xff\xff"), 0),
    "a colour that is a hole.png": (_file(LYING, "PNG", transparency=(230, 20, 20)), 0),
    "holes.png": (_file(HOLED, "PNG"), 0),
    "holes.webp": (_file(HOLED, "WEBP", lossless=True, exact=True), 0),
    "frames with holes.webp": (_file(HOLED, "WEBP", lossless=True, exact=True, **FRAMES), 0),
    "holes in a file without EXIF data.webp": (_file(UPRIGHT, "WEBP", lossless=True, exact=True, exif=b""), 0),
    "holes.tif": (_file(HOLED, "TIFF"), 0),
    "pages.tif": (_file(LYING, "TIFF", save_all=True, append_images=[BLACK.copy()]), 0),
    "CMYK.tif": (_file(LYING.convert("CMYK"), "TIFF"), 0),
    "BigTIFF.tif": (_file(LYING, "TIFF", big_tiff=True), 0),
    "a thumbnail that lies otherwise.jpg": (_file(LYING, "JPEG", quality=95, subsampling=0, exif=TWO_DIRECTORIES), 12),
}
GRAY = {
    "gray.jpg": (_file(LYING_GRAY, "JPEG", quality=95), 6),
    "gray with holes.png": (_file(LYING_GRAY.convert("LA"), "PNG"), 0),
    "a level that is a hole.png": (_file(LYING_GRAY, "PNG", transparency=83), 0),
    "gray with holes.tif": (_file(LYING_GRAY.convert("LA"), "TIFF"), 0),
}
NOT_IN_GRAPHS = (".tif", "frames.webp", "holes.webp", "EXIF data.webp")
# What is no picture that is read, and what is said of it by all but a graph, which says less.
REFUSED = {
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "it is HEIC, which is not read: convert it to JPEG or PNG"),
    "JPEG XL": (b"\xff\x0a" + bytes(99), "it is JPEG XL, which is not read"),
    "nothing": (b"", "it has no bytes|no bytes; send"),
    "a page": (b"<!DOCTYPE html><html>404</html>", "no image of a known format|not an image; it starts with"),
    "a JPEG without its last byte": (JPEG[:-1], "truncated.*it ends too early, so copy or download it again"),
    "half a JPEG": (JPEG[: len(JPEG) * 2 // 3], "(?i)truncated"),
    "half a TIFF": (_file(LYING, "TIFF")[:-99], "truncated|cannot be read"),
    "a PNG of no width": (PNG[:16] + bytes(4) + PNG[20:], "no image of a known format|not an image; it starts with"),
}


def _by_record(data):
    """The picture of a record of a class, as training decodes it."""
    found = []
    try:
        encoded = image_file.of_bytes(data, "a file", Reporter(found, "a file", ""), rule="upright").encoded
    except LeftOut as error:
        raise image_numpy.Unreadable("damaged", found[-1].what) from error
    return image.decode(encoded).numpy()


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Functions of a file's bytes to its picture: those of all commands, and of a graph; and what they raise."""
    path = tmp_path_factory.mktemp("one") / "a"
    signature = [tf.TensorSpec([], tf.string)]
    graph = tf.function(lambda data: upright.decode(data, AS_SHOWN), input_signature=signature, autograph=False)

    def of_file(data):
        path.write_bytes(data)
        return image_files.load(path)

    return {
        "predict, client and TFLite": of_file,
        "records": _by_record,
        "server": lambda data: pictures.of("the body", data, 100).decode(),
        "bytes of a SavedModel": lambda data: graph(tf.constant(data)).numpy(),
    }


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", [*COLOURED, *GRAY])
def test_all_readers_see_the_first_picture_upright(name, readers):
    data, losses = (COLOURED | GRAY)[name]
    picture = Image.fromarray(photos.upright())
    expected = np.asarray(picture.convert("L").convert("RGB") if name in GRAY else picture).astype(int)
    for reader, read in readers.items():
        if reader.startswith("bytes") and name.endswith(NOT_IN_GRAPHS):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"several frames or transparency\. Send it"):
                read(data)
            continue
        seen = read(data)
        assert seen.shape == expected.shape, reader
        assert np.abs(seen - expected).max() <= losses, reader


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (2000, 1), pytest.param((2000, 20_000), marks=pytest.mark.long)])
def test_pictures_of_the_smallest_and_longest_sides_are_turned(size, readers):
    data = _file(Image.new("RGB", size, (200, 20, 20)), "PNG")
    for reader, read in readers.items():
        seen = read(data)
        assert seen.shape == (*size, 3) and (seen == (200, 20, 20)).all(), reader


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_in_a_sentence_by_all(name, readers):
    data, words = REFUSED[name]
    for reader, read in readers.items():
        if not reader.startswith("bytes"):
            with pytest.raises((image_numpy.Unreadable, Refused), match=words):
                read(data)
