"""What counts as a picture, and what it becomes."""

import http.server
import io
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfrecog.api import pictures
from tfrecog.cli.errors import UserError
from tfrecog.data.reading import Reading

PIXELS = np.random.default_rng(0).integers(0, 256, [5, 7, 3]).astype(np.uint8)


def png(picture, **options):
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def turned(orientation=6):
    """A photo that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return png(Image.fromarray(PIXELS), exif=exif)


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        tf.constant(PIXELS),
        Image.fromarray(PIXELS),
        png(Image.fromarray(PIXELS)),
        bytearray(png(Image.fromarray(PIXELS))),
        io.BytesIO(png(Image.fromarray(PIXELS))),
        PIXELS[:, ::-1][:, ::-1],
    ],
    ids=["array", "tensor", "Pillow", "bytes", "bytearray", "file", "view"],
)
def test_a_picture_of_any_kind_is_its_pixels(given):
    pixels, name = pictures.load(given, Reading({}))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert name == "" and pixels.flags.c_contiguous


def test_a_file_is_called_by_its_name_and_turned_upright(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(turned())
    for given in (path, str(path)):
        pixels, name = pictures.load(given, Reading({}))
        np.testing.assert_array_equal(pixels, np.rot90(PIXELS, -1))
        assert name == str(path)
    np.testing.assert_array_equal(pictures.load(turned(), Reading({}))[0], np.rot90(PIXELS, -1))


def test_an_image_of_pillow_is_taken_as_it_stands_and_the_turn_is_told():
    with pytest.warns(UserWarning, match="orientation 6 .*exif_transpose"):
        pixels, _ = pictures.load(Image.open(io.BytesIO(turned())), Reading({}))
    np.testing.assert_array_equal(pixels, PIXELS)


@pytest.mark.parametrize("gray", [PIXELS[..., 0], PIXELS[..., :1]], ids=["[H, W]", "[H, W, 1]"])
def test_gray_is_the_same_in_three_colours(gray):
    np.testing.assert_array_equal(pictures.load(gray, Reading({}))[0], PIXELS[..., :1].repeat(3, axis=-1))


def test_deep_pixels_are_in_the_ranges_of_the_data_set_or_refused():
    deep = np.array([[0, 2047, 4095]], np.uint16)
    pixels, _ = pictures.load(deep, Reading({"uint16": (0, 4095)}))
    assert pixels[0, :, 0].tolist() == [0, 127, 255]
    with pytest.raises(UserError, match="an array of uint16 is not a picture"):
        pictures.load(deep, Reading({}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros([4, 4, 4], np.uint8), r"shape \[4, 4, 4\]"),
        (np.zeros([0, 4, 3], np.uint8), r"shape \[0, 4, 3\]"),
        (np.zeros([4, 4, 3]), "array of float64"),
        (np.zeros([2, 4, 4, 3], np.uint8), r"shape \[2, 4, 4, 3\]"),
        (b"no picture", "bytes cannot be read as a picture"),
        (b"", "it has no bytes"),
        ("nothing.jpg", "nothing.jpg: there is no such file"),
        (".", r"^\. is not one picture: give folders and patterns to `stream`"),
        ("photos/*.jpg", r"^photos/\*\.jpg is not one picture"),
        (7, "a int is not a picture"),
        (None, "a NoneType is not a picture"),
        ("http://127.0.0.1:9/a.jpg", "cannot be reached"),
        ("http://127.0.0.1:9/a b ä.jpg", "cannot be reached"),
        (Image.open(io.BytesIO(png(Image.fromarray(PIXELS))[:60])), "the image of Pillow cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_give(given, message):
    with pytest.raises(UserError, match=message):
        pictures.load(given, Reading({}))


@pytest.fixture
def address():
    """Of a server that has a.png, of which it sends too little as short.png, and a film that has no film's name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in ("/a.png", "/short.png", "/watch.php") else 404)
            if self.path == "/short.png":
                self.send_header("Content-Length", str(len(turned()) + 1))
            if self.path == "/watch.php":
                self.send_header("Content-Type", "video/mp4")
            self.end_headers()
            self.wfile.write(turned() if self.path in ("/a.png", "/short.png") else b"")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_is_fetched(address):
    pixels, name = pictures.load(f"{address}/a.png", Reading({}))
    np.testing.assert_array_equal(pixels, np.rot90(PIXELS, -1))
    assert name == f"{address}/a.png"
    with pytest.raises(UserError, match=r"b\.png cannot be read as a picture: the server responds 404"):
        pictures.load(f"{address}/b.png", Reading({}))


def test_a_download_is_whole_or_not_there(address, tmp_path):
    assert pictures.download(f"{address}/a.png", tmp_path).read_bytes() == turned()
    assert pictures.download(f"{address}/watch.php", tmp_path).name == "watch.php.mp4"
    short = rf"short\.png stopped after {len(turned())} of {len(turned()) + 1} bytes"
    with pytest.raises(pictures.CutOff, match=short) as cut:
        pictures.download(f"{address}/short.png", tmp_path)
    assert cut.value.status == 75
    with pytest.raises(UserError, match="cannot be read as a picture: stopped after"):
        pictures.load(f"{address}/short.png", Reading({}))
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "watch.php.mp4"}


def test_several_are_told_from_one():
    assert all(map(pictures.is_several, ([PIXELS], (PIXELS,), iter([PIXELS]))))
    assert not any(
        map(pictures.is_several, (PIXELS, tf.constant(PIXELS), "a.jpg", b"", Image.fromarray(PIXELS), io.BytesIO(), 3))
    )
