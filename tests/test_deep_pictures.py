"""A picture of 10, 12 or 16 bits or of fractions is one picture everywhere: in records, prediction and a graph."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from pipelines import imagenet
from pipelines.build.problems import Refused
from tests import photos
from tfrecog.data import image, image_numpy, info
from tfrecog.data.split import Split
from tfrecog.inference import image_files


def _write(folder, name, values):
    """TIFFs, and a PNG of gray and one of colours where the values are of 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.tif").write_bytes(photos.file(values, "TIFF"))
    if values.dtype == np.uint16:
        (folder / f"{name}_gray.png").write_bytes(tf.io.encode_png(values[..., None]).numpy())
        (folder / f"{name}_rgb.png").write_bytes(tf.io.encode_png(np.stack([values] * 3, axis=-1)).numpy())


def _classes(root, out, split="train", **flags):
    return imagenet.build(imagenet.Imagenet(images=str(root), out=str(out), split=split, jobs=1, **flags))


def _records(out, split="train"):
    opened = Split.open(out, split)
    return [opened.truth(row) for row in range(len(opened))]


def test_a_data_set_without_a_range_takes_the_upper_8_of_16_bits_and_fractions_of_1(tmp_path):
    _write(tmp_path, "a", photos.GRAY.astype(np.uint16) * 257)
    _write(tmp_path, "b", photos.GRAY.astype(np.float32) / 255)
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(image_files.load(path), np.stack([photos.GRAY] * 3, axis=-1), path.name)


def test_later_splits_have_the_range_of_the_first_and_report_what_is_beyond_it(tmp_path):
    first, second, out = tmp_path / "first", tmp_path / "second", tmp_path / "out"
    for name in ("cat", "dog"):
        _write(first / name, "a", np.full([4, 6], 4000, np.uint16))
    brighter = np.full([4, 6], 4000, np.uint16)
    brighter[0] = 5000  # a quarter of the pixels
    for name in ("cat", "dog"):
        _write(second / name, "a", brighter)
    _classes(first, out)
    built = _classes(second, out, "val")
    assert info.load(out).pixel_ranges == {"uint16": (0, 4095)}
    beyond = [one for one in built.problems if one.kind == "pixels beyond the range"]
    assert len(beyond) == 1 and "25.000%" in beyond[0].what
    pixels = image.decode(_records(out, "val")[0].encoded).numpy()
    assert (pixels[0] == 255).all() and (pixels[1:] == 4000 >> 4).all()


def test_a_range_may_be_given_and_is_that_of_all_splits(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    for name in ("cat", "dog"):
        _write(root / name, "a", np.full([4, 6], 3000, np.uint16))
    _classes(root, out, pixel_ranges=("uint16:2000:4047",))
    assert image.decode(_records(out)[0].encoded).numpy().max() == 125  # 1000 * 256 / 2048
    with pytest.raises(Refused, match="with the pixel_ranges"):
        _classes(root, out, "val", pixel_ranges=("uint16:0:4095",))
    for wrong in ("uint16", "uint16:1", "uint8:0:1", "uint16:5:5", "float32:0:inf", "uint16:a:b"):
        with pytest.raises(Refused, match="--pixel_ranges="):
            _classes(root, out, "val", pixel_ranges=(wrong,))


def test_a_picture_that_the_range_leaves_black_is_reported(tmp_path):
    root = tmp_path / "in"
    _write(root / "cat", "bright", np.full([4, 6], 60_000, np.uint16))
    _write(root / "dog", "dark", np.full([4, 6], 200, np.uint16))
    built = _classes(root, tmp_path / "out")
    black = {one.file for one in built.problems if one.kind == "image nearly black or white"}
    assert black == {"dog/dark.tif", "dog/dark_gray.png", "dog/dark_rgb.png"}


def test_the_same_command_builds_nothing_again_and_another_range_other_shards(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    for name in ("cat", "dog"):
        _write(root / name, "a", np.full([4, 6], 3000, np.uint16))
    first = _classes(root, out)
    again = _classes(root, out)
    assert (again.kept, again.split) == (1, first.split)
    other = _classes(root, out, pixel_ranges=("uint16:0:65535",))
    assert other.kept == 0 and other.split.shards != first.split.shards
    assert not [path.name for path in (out / ".train.build").glob("*.tfrecord")]


def _tiff(values, order):
    """An uncompressed TIFF [H, W, 3] of 16 bits a colour, whose bytes are in the order < or >."""
    height, width = values.shape[:2]
    pixels = values.astype(f"{order}u2").tobytes()
    start = 8 + 2 + 9 * 12 + 4
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, start), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, start + 6), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        inline = kind == 3 and count == 1
        content += struct.pack(f"{order}HHI", tag, kind, count)
        content += struct.pack(f"{order}HH", value, 0) if inline else struct.pack(f"{order}I", value)
    return content + bytes(4) + struct.pack(f"{order}3H", 16, 16, 16) + pixels


COLOURS = np.random.default_rng(0).integers(0, 65536, [5, 7, 4]).astype(np.uint16)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("PNG RGB", tf.io.encode_png(COLOURS[..., :3]).numpy(), COLOURS[..., :3]),
        ("PNG RGBA", tf.io.encode_png(COLOURS).numpy(), COLOURS[..., :3]),
        ("PNG gray and alpha", tf.io.encode_png(COLOURS[..., :2]).numpy(), np.repeat(COLOURS[..., :1], 3, axis=-1)),
        ("TIFF, little-endian", _tiff(COLOURS[..., :3], "<"), COLOURS[..., :3]),
        ("TIFF, big-endian", _tiff(COLOURS[..., :3], ">"), COLOURS[..., :3]),
    ],
)
def test_all_16_bits_of_a_colour_are_read(name, data, expected):
    """Pillow itself reads the upper 8, so that 12 bits would be black."""
    np.testing.assert_array_equal(image_numpy.opened(data).values(), expected, name)
