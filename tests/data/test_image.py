import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.made import encoded
from tfrecog.data import image


def test_jpeg_pixels_are_those_of_libjpeg(shared_data):
    for path in sorted(shared_data.glob("coco_ccby_instances_keypoints/images/*.jpg"))[:4]:
        np.testing.assert_array_equal(image.decode(path.read_bytes()), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("options", [{"kind": "JPEG", "subsampling": 0}, {"kind": "PNG"}])
@pytest.mark.parametrize("window", [(0, 0, 40, 60), (7, 11, 20, 30), (39, 0, 1, 60), (3, 59, 37, 1)])
def test_a_window_has_the_pixels_of_the_whole_image_at_its_place(options, window):
    # Of a JPEG with all its colour samples, where none is interpolated between neighbours in and outside the window.
    content = encoded(np.random.default_rng(0).integers(0, 256, [40, 60, 3]), **options)
    top, left, height, width = window
    expected = image.decode(content)[top : top + height, left : left + width]
    np.testing.assert_array_equal(image.decode_window(content, [40, 60], window), expected)


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


@pytest.mark.parametrize(("short", "long"), [(800, 1333), (640, 1333), (320, 640), (333, 500)])
def test_sizes_that_are_rounded_to_the_nearest_are_detectron2s_to_the_pixel(short, long):
    """ResizeShortestEdge, in doubles: the shorter side is `short` itself, then the limit, then rounding."""
    # All sizes of usual images, some larger ones, and some of which a side comes out near a half.
    usual = np.stack(np.mgrid[100:641, 100:641], -1).reshape(-1, 2)
    larger = np.random.default_rng(0).integers(20, 3000, [3000, 2])
    sizes = np.concatenate([usual, larger, [[624, 312], [604, 302], [530, 265], [151, 302]]])
    height, width = sizes.T.astype(float)
    factor = short / np.minimum(height, width)
    new = np.where(height < width, [np.full_like(height, short), factor * width], [factor * height, 0 * width + short])
    longest = new.max(0)
    expected = (np.where(longest > long, new * (long / longest), new) + 0.5).astype(int).T
    got = image.target_size(sizes, short, long, "nearest").numpy()
    np.testing.assert_array_equal(got, expected)
    if (short, long) == (800, 1333):
        assert got[-4:].tolist() == [[1333, 666], [1333, 666], [1333, 666], [666, 1333]]
        np.testing.assert_array_equal(
            image.target_size([[480, 640], [427, 640]], 800, 1333, "nearest")[:, 1], [1067, 1199]
        )
    different = np.any(got != image.target_size(sizes, short, long), axis=-1)
    assert 0.3 < different.mean() < 0.8, "half of the fractions are more than a half"


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 800), st.floats(1, 2),
    st.sampled_from(["floor", "nearest"]),
)  # fmt: skip
def test_every_image_has_a_canvas_that_holds_it(height, width, short, ratio, rounding):
    shapes = image.canvases(short, int(short * ratio), (1.36,))
    assert np.all(shapes.numpy() % 32 == 0)
    size = image.target_size(np.array([height, width]), short, int(short * ratio), rounding)
    assert np.all(size <= shapes[image.canvas_of(size, shapes)])
    tight = image.tight_canvas(size).numpy()
    assert np.all(tight % 32 == 0) and np.all(size <= tight) and np.all(tight < size.numpy() + 32)


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


@pytest.mark.parametrize("size", [(23, 9), (3, 5), (7, 11)])
def test_pillows_resize_is_pillows_in_a_graph_too(size):
    picture = np.random.default_rng(0).integers(0, 256, [7, 11, 3], np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(image.resize(picture, size, "pillow"), expected)
    dataset = tf.data.Dataset.from_tensors(picture).map(lambda picture: image.resize(picture, size, "pillow"))
    assert dataset.element_spec.shape.as_list() == [None, None, 3] and dataset.element_spec.dtype == tf.float32
    np.testing.assert_array_equal(next(iter(dataset)), expected)
    # After photometric noise an image has fractions, which Pillow has not.
    np.testing.assert_array_equal(image.resize(picture + tf.constant(0.3), size, "pillow"), expected)


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
