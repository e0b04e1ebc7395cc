"""Images in NumPy and Pillow: the pixels are those of TensorFlow, which training and prediction see."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrecog.data import image, image_numpy

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))


def noise(size):
    return np.random.default_rng(0).integers(0, 256, [*size, 3]).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, st.sampled_from(["bilinear", "pillow"]))
def test_resizing_is_tensorflows_or_pillows(photo, size, by):
    """The bilinear kernel may fuse a product and a sum, so its last bit of 255 differs: 255 * 2^-23 = 3e-5."""
    picture = noise(photo)
    got = image_numpy.resize(picture, size, by)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, image.resize(picture, np.array(size, np.int32), by).numpy(), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(8, 64), st.integers(1, 8))
def test_the_middle_is_that_of_the_readers_of_records(photo, short, crop):
    picture = noise(photo)
    got = image_numpy.middle(picture, short, (crop, crop), "bilinear")
    np.testing.assert_allclose(got, image.middle(picture, short, crop).numpy(), atol=1e-4)


def file_of(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, [33, 47, 4], np.uint8)
GRAY_16 = np.random.default_rng(1).integers(0, 65536, [33, 47], np.uint16)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    + [("JPEG", "L"), ("JPEG", "RGB"), ("BMP", "L"), ("BMP", "P"), ("BMP", "RGB"), ("GIF", "P")],
)
def test_a_file_has_the_pixels_that_tensorflow_decodes(kind, mode):
    """Of all that a record may hold, and of 16 bits a pixel, which records do not."""
    picture = Image.fromarray(GRAY_16) if mode == "I;16" else Image.fromarray(PIXELS).convert("RGB").convert(mode)
    data = file_of(Image.fromarray(PIXELS) if mode == "RGBA" else picture, kind)
    decoded = image_numpy.decode(data)
    assert decoded.dtype == np.uint8 and decoded.shape == (33, 47, 3)
    np.testing.assert_array_equal(decoded, image.decode(data))


def test_a_photo_in_cmyk_is_rgb():
    photo = Image.new("RGB", (30, 20), (204, 204, 204)).convert("CMYK")
    np.testing.assert_allclose(image_numpy.decode(file_of(photo, "JPEG")), np.full([20, 30, 3], 204), atol=3)


def test_the_upper_bits_of_sixteen_are_taken():
    decoded = image_numpy.decode(file_of(Image.fromarray(GRAY_16), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(GRAY_16[..., None] >> 8, 3, axis=-1))


def test_a_photo_is_turned_upright_if_asked():
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by a quarter, clockwise.
    data = file_of(Image.fromarray(PIXELS[..., :3]), "PNG", exif=exif)
    np.testing.assert_array_equal(image_numpy.decode(data), PIXELS[..., :3])
    np.testing.assert_array_equal(image_numpy.decode(data, upright=True), np.rot90(PIXELS[..., :3], -1))


BEGINNINGS = {
    "JPEG": file_of(Image.fromarray(PIXELS[..., :3]), "JPEG"),
    "PNG": file_of(Image.fromarray(PIXELS), "PNG"),
    "GIF": file_of(Image.fromarray(PIXELS[..., 0]), "GIF"),
    "BMP": file_of(Image.fromarray(PIXELS[..., :3]), "BMP"),
    "WebP": file_of(Image.fromarray(PIXELS), "WEBP"),
    "AVIF": file_of(Image.fromarray(PIXELS), "AVIF"),
    "TIFF": file_of(Image.fromarray(PIXELS), "TIFF"),
    "BigTIFF": file_of(Image.fromarray(PIXELS), "TIFF", big_tiff=True),
    "PGM": file_of(Image.fromarray(PIXELS[..., 0]), "PPM"),
    "JPEG 2000": file_of(Image.fromarray(PIXELS), "JPEG2000"),
    "JPEG 2000 without boxes": file_of(Image.fromarray(PIXELS), "JPEG2000", no_jp2=True),
    "HEIC of several pictures": b"\0\0\0\x18ftyphevc" + bytes(9),
}
NO_PICTURES = {"text": b"BM is short for bitmap", "a list": b"P1 and P2 are", "sound": b"RIFF\0\0\1\0WAVE", "none": b""}


@pytest.mark.parametrize("name", BEGINNINGS | NO_PICTURES)
def test_files_of_pictures_are_known_by_how_they_begin(name):
    assert image_numpy.begins_as_picture((BEGINNINGS | NO_PICTURES)[name][:12]) == (name in BEGINNINGS)


def broken_png():
    """A PNG whose compressed pixels are no longer such, with a checksum that fits."""
    data = file_of(Image.fromarray(PIXELS[..., 0]), "PNG")
    at = data.index(b"IDAT")
    end = at + 4 + int.from_bytes(data[at - 4 : at])
    chunk = data[at : at + 9] + bytes(16) + data[at + 25 : end]
    return data[:at] + chunk + zlib.crc32(chunk).to_bytes(4) + data[end + 4 :]


WHOLE = file_of(Image.fromarray(PIXELS[..., :3]), "JPEG")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", "empty", "it has no bytes"),
        (b"<html>404</html>", "unknown", "16 bytes that are no image of a known format"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "other format", "it is HEIC, which is not read: convert it"),
        (b"\xff\x0a" + bytes(99), "other format", "it is JPEG XL"),
        (WHOLE[:300], "damaged", "(?i)truncated"),
        (broken_png(), "damaged", "broken data stream"),
        # A header of 100,000 x 100,000 pixels.
        (b"P6 100000 100000 255 ", "too large", "exceeds limit"),
    ],
)
def test_what_is_no_picture_is_told_apart(data, kind, words):
    with pytest.raises(image_numpy.Unreadable, match=words) as raised:
        image_numpy.decode(data)
    assert raised.value.kind == kind
