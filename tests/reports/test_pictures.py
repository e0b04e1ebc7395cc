"""Pictures in a report: few, small, and none of them twice."""

import base64
import io

import numpy as np
from PIL import Image

from tfrecog.reports import pictures


def opened(address):
    """The image in a data address, and its bytes."""
    head, _, text = address.partition(",")
    assert head == "data:image/jpeg;base64"
    content = base64.b64decode(text)
    return Image.open(io.BytesIO(content)), len(content)


def test_a_picture_is_made_to_fit_and_a_small_one_is_enlarged_by_a_whole_factor():
    for size, shown in (((3000, 4000), (560, 420)), ((28, 28), (560, 560)), ((300, 500), (500, 300))):
        image, _ = opened(pictures.address(np.zeros([*size, 3], np.uint8)))
        assert image.size == shown


def test_even_noise_has_a_bounded_size():
    noise = np.random.default_rng(0).integers(0, 256, [560, 560, 3], np.uint8)
    _, size = opened(pictures.address(noise))
    assert size < 1.5 * pictures.BYTES
    ramp = np.broadcast_to(np.linspace(0, 255, 560).astype(np.uint8)[:, None, None], [560, 560, 3])
    image, size = opened(pictures.address(ramp))
    assert size < pictures.BYTES / 5 and np.abs(np.asarray(image, int) - ramp).max() <= 4, (
        "a calm one keeps its quality"
    )


def test_images_at_random_are_from_all_over_and_not_those_that_are_shown_already():
    chosen = pictures.at_random(1000, most=100)
    assert len({*chosen}) == 100 and chosen != sorted(chosen)
    assert abs(np.mean(chosen) - 500) < 100  # Their standard error is 29.
    assert abs(np.mean(chosen[:50]) - 500) < 150, "also the first of them"
    assert pictures.at_random(1000, most=100) == chosen
    assert sorted(pictures.at_random(5, without=[1, 3])) == [0, 2, 4]
