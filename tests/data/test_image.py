import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfrecog.data import image


def test_jpeg_pixels_are_those_of_libjpeg(shared_data):
    for path in sorted(shared_data.glob("coco_ccby_instances_keypoints/images/*.jpg"))[:4]:
        np.testing.assert_array_equal(image.decode(path.read_bytes()), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("BMP", "RGB"), ("GIF", "P")])
def test_other_formats_decode_to_rgb(kind, mode):
    picture = Image.fromarray(np.arange(5 * 7, dtype=np.uint8).reshape(5, 7) * 7).convert(mode)
    file = io.BytesIO()
    picture.save(file, kind)
    np.testing.assert_array_equal(image.decode(file.getvalue()), np.asarray(picture.convert("RGB")))


# GeneralizedRCNNTransform of torchvision 0.27 with min_size 800, max_size 1333: (height, width) in and out.
TORCHVISION = {
    (480, 640): (800, 1066),
    (427, 640): (800, 1199),
    (640, 425): (1204, 800),
    (333, 500): (800, 1201),
    (612, 612): (800, 800),
    (240, 640): (499, 1333),
    (1000, 3000): (444, 1333),
}


def test_resized_sizes_are_those_of_torchvision():
    got = image.target_size(np.array(list(TORCHVISION)), 800, 1333)
    assert [tuple(size) for size in got.numpy()] == list(TORCHVISION.values())


def test_resized_sizes_round_like_python():
    # torchvision computes int(side * min(short / min(size), long / max(size))) in Python's doubles. For some sides that
    # is a pixel short, as in int(97 * (800 / 97)) = 799.
    sides = np.arange(1, 2001)
    expected = [int(side * min(800 / side, 1333 / side)) for side in sides.tolist()]
    assert set(expected) == {799, 800}
    np.testing.assert_array_equal(image.target_size(np.stack([sides, sides], -1), 800, 1333)[:, 0], expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 800), st.floats(1, 2))
def test_every_image_has_a_canvas_that_holds_it(height, width, short, ratio):
    shapes = image.canvases(short, int(short * ratio), (1.36,))
    assert np.all(shapes.numpy() % 32 == 0)
    size = image.target_size(np.array([height, width]), short, int(short * ratio))
    assert np.all(size <= shapes[image.canvas_of(size, shapes)])


def test_an_image_goes_into_the_smallest_canvas():
    shapes = image.canvases(800, 1333, (1.36, 1.67))
    assert shapes.numpy().tolist() == [[800, 1088], [1088, 800], [800, 1344], [1344, 800]]
    sizes = np.array([[800, 1066], [1066, 800], [800, 1199], [1333, 499], [800, 800]])
    assert image.canvas_of(sizes, shapes).numpy().tolist() == [0, 1, 2, 3, 0]


def bilinear(picture, height, width):
    """Bilinear at half-pixel centres: the slow definition."""
    out = np.zeros([height, width, 3])
    for row in range(height):
        for column in range(width):
            y = np.clip((row + 0.5) * picture.shape[0] / height - 0.5, 0, picture.shape[0] - 1)
            x = np.clip((column + 0.5) * picture.shape[1] / width - 0.5, 0, picture.shape[1] - 1)
            for yy in (int(y), int(y) + 1):
                for xx in (int(x), int(x) + 1):
                    if abs(y - yy) < 1 and abs(x - xx) < 1:
                        out[row, column] += (1 - abs(y - yy)) * (1 - abs(x - xx)) * picture[yy, xx]
    return out


@pytest.mark.parametrize("size", [(23, 9), (3, 5), (7, 11)])
def test_resize_is_bilinear_at_half_pixel_centres(size):
    picture = np.random.default_rng(0).integers(0, 256, [7, 11, 3], np.uint8)
    np.testing.assert_allclose(image.resize(picture, size), bilinear(picture, *size), atol=1e-3)


def test_padding_is_at_the_bottom_and_right():
    got = image.pad(tf.ones([2, 3, 3]), tf.constant([4, 5])).numpy()
    assert got.shape == (4, 5, 3) and got[:2, :3].all() and got.sum() == 2 * 3 * 3


def test_photometric_noise_depends_on_the_seed_alone_and_stays_in_range():
    picture = np.random.default_rng(0).integers(0, 256, [8, 9, 3], np.uint8)
    in_graph = tf.function(image.photometric)
    got = [in_graph(picture, tf.constant([7, i]), 1.0).numpy() for i in range(6)]
    np.testing.assert_array_equal(in_graph(picture, tf.constant([7, 3]), 1.0), got[3])
    assert len({result.tobytes() for result in got}) > 3  # each change happens half of the time
    assert min(result.min() for result in got) >= 0 and max(result.max() for result in got) <= 255


def test_photometric_noise_of_strength_zero_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 256, [8, 9, 3], np.uint8)
    for i in range(4):
        np.testing.assert_allclose(image.photometric(picture, tf.constant([0, i]), 0.0), picture, atol=1e-3)
