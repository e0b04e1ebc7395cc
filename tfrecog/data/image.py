"""Images: decoding, sizes, the static shapes they are padded to, and what is random in them in training."""

from typing import Any

import tensorflow as tf

from tfrecog.config import STRIDE
from tfrecog.data import depth, image_numpy
from tfrecog.ops import resampling, target

# What the parts of the seed of an image with objects or a label map are for.
LIGHT, FLIP, SIDE, SCALE, PLACE = range(5)


def decode(encoded, ranges: depth.Ranges = depth.WHOLE):
    """Image [H, W, 3] uint8 of a JPEG, PNG, GIF (first frame) or BMP, as its file stores it.

    A PNG of 16 bits is made 8 bits by the range of uint16 pixels, without one by its upper 8.
    """
    # The accurate transform gives libjpeg's own pixels, as Pillow and torchvision do. TensorFlow's default is off by up
    # to 19 of 255, and not even faster: libjpeg-turbo has SIMD code for the accurate one.
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: _decode_deep(encoded, *ranges["uint16"]) if "uint16" in ranges else _decode_others(encoded),
    )
    return tf.ensure_shape(image, [None, None, 3])


def _decode_deep(encoded, low, high):
    """Image [H, W, 3] uint8 of what is no JPEG, of 16 bits as `depth.to_8_bits`."""

    def of_png():
        values = tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), tf.float64)
        return tf.cast(tf.floor((tf.clip_by_value(values, low, high) - low) * (256 / (high - low + 1))), tf.uint8)

    header = tf.io.decode_raw(tf.strings.substr(encoded, 0, 32), tf.uint8, fixed_length=32)
    deep = (tf.strings.substr(encoded, 0, 4) == b"\x89PNG") & (header[24] == 16)
    return tf.cond(deep, of_png, lambda: _decode_others(encoded))


def _decode_others(encoded):
    """Image [H, W, 3] uint8 of what is no JPEG."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)

    def in_colours():  # TensorFlow takes the numbers of colours for gray levels.
        entries = tf.io.decode_raw(tf.strings.substr(encoded, palette, 1024), tf.uint8, fixed_length=1024)
        entries = tf.reshape(entries, [256, 4])
        return tf.gather(entries[:, 2::-1], tf.cast(image[..., 0], tf.int32))  # blue, green, red, 0

    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, 32), tf.uint8, fixed_length=32), tf.int32)
    palette = 14 + header[14] + 256 * header[15]
    with_palette = (tf.strings.substr(encoded, 0, 2) == b"BM") & (header[28] == 8)
    return tf.cond(with_palette, in_colours, lambda: image)


def decode_window(encoded, size, window):
    """Window [h, w, 3] uint8 of an image of a size [2]: the pixels of `decode`, and of a JPEG no others are computed.

    Args:
        window: [4], top, left, height, width.

    Raises:
        tf.errors.InvalidArgumentError: the image cannot be decoded as far as the window reaches, or has another size.
    """

    def of_jpeg():
        same = tf.debugging.assert_equal(tf.io.extract_jpeg_shape(encoded)[:2], size)
        with tf.control_dependencies([] if same is None else [same]):  # Eagerly it has been asserted.
            return tf.io.decode_and_crop_jpeg(encoded, window, channels=3, dct_method="INTEGER_ACCURATE")

    def of_others():
        image = _decode_others(encoded)
        same = tf.debugging.assert_equal(tf.shape(image)[:2], size)
        with tf.control_dependencies([] if same is None else [same]):
            return tf.slice(image, [window[0], window[1], 0], [window[2], window[3], 3])

    return tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), of_jpeg, of_others), [None, None, 3])


def target_size(size, short, long, rounding="floor"):
    """Size [..., 2] int32 after resizing images of a size [..., 2] to a short side, the long one at most `long`.

    `rounding` is torchvision's, `floor`, or detectron2's, `nearest`.
    """
    # Pairs and scalars alone, no reduction over the two sides: OpenVINO 2026.4 computes a size wrongly, in most of its
    # compilations, where a vector of one takes part.
    side = tf.cast(size, tf.float64)
    other = side[..., ::-1]
    least, greatest = tf.minimum(side, other), tf.maximum(side, other)
    short, long = (tf.cast(one, tf.float64) for one in (short, long))
    short, long = (one[..., None] if one.shape.rank else one for one in (short, long))
    # Double precision, and each library's own operations in its own order: a side that comes out whole, or a half,
    # depends on the last bit. detectron2 does not compute the shorter side, which is `short` exactly; of a square, it
    # computes the height.
    if rounding == "nearest":
        given = (side < other) | ((side == other) & [False, True])
        side = tf.where(given, short, side * (short / least))
        excess = tf.maximum(side, side[..., ::-1])
        side = tf.where(excess > long, side * (long / excess), side) + 0.5
    else:  # Some images come out a pixel short of `short`, as there.
        side = side * tf.minimum(short / least, long / greatest)
    return tf.maximum(tf.cast(tf.floor(side), tf.int32), 1)


def resized(size, short, config):
    """Size [..., 2] to which images of a size [..., 2] are resized; a short side of 0 leaves it as it is."""
    target = target_size(size, tf.maximum(short, 1), config.long_side, config.size_rounding)
    return tf.where(tf.equal(short, 0), size, target)


def canvases(short, long, aspect_ratios):
    """Static shapes [c, 2] int32, smallest first: each aspect ratio both ways round, and one that holds every image."""

    def up(side):
        return -int(-side // STRIDE) * STRIDE

    shapes = {(up(short), up(min(short * ratio, long))) for ratio in aspect_ratios} | {
        (up(short), up(max(short, long)))
    }
    shapes |= {(width, height) for height, width in shapes}
    return tf.constant(sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)), tf.int32)


def canvas_of(size, shapes):
    """Position [...] int32 of the first of the shapes [c, 2] that holds a size [..., 2]; some shape must."""
    fits = tf.reduce_all(size[..., None, :] <= shapes, axis=-1)
    tf.debugging.assert_equal(tf.reduce_any(fits, axis=-1), True, "a resized image fits in no canvas")
    return tf.argmax(fits, axis=-1, output_type=tf.int32)


def tight_canvas(size):
    """The least canvas [..., 2] int32 that holds an image of a size [..., 2]: its sides, up to multiples of 32."""
    return -(-tf.cast(size, tf.int32) // STRIDE) * STRIDE


def resize(image, size, by="bilinear"):
    """Image [..., h, w, 3] float32 of a size [2], of an image [..., H, W, 3], read at half-pixel centres.

    `bilinear` reads four pixels for each (no antialiasing). `pillow` is Pillow's bilinear filter, which averages over
    as many as become one, and rounds to whole numbers.
    """
    if by == "pillow":
        whole = image if image.dtype == tf.uint8 else tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
        if not target.python():
            return tf.cast(resampling.resize(whole, size), tf.float32)
        # Without state: see `read.python`.
        resized = tf.numpy_function(image_numpy.pillow, [whole, size], tf.uint8, stateful=False)
        return tf.cast(tf.ensure_shape(resized, [None, None, 3]), tf.float32)
    # The kernel is twice as fast from float32 as from uint8, the conversion included.
    image = tf.cast(image, tf.float32)
    if image.shape.rank == 4:
        return tf.raw_ops.ResizeBilinear(images=image, size=size, half_pixel_centers=True)
    return tf.raw_ops.ResizeBilinear(images=image[None], size=size, half_pixel_centers=True)[0]


def middle(image, short, crop, by="bilinear"):
    """The square [..., crop, crop, 3] float32 in the middle of an image [..., H, W, 3], its short side made `short`.

    The long side becomes as long as torchvision's transforms make it.
    """
    size = tf.shape(image)[-3:-1]
    resized = size * short // tf.reduce_min(size)
    # A half is rounded to the even number, as by the rule that published figures were measured with.
    offset = tf.cast(tf.round((tf.cast(resized, tf.float32) - crop) / 2), tf.int32)
    picture = resize(image, resized, by)
    square = picture[..., offset[0] : offset[0] + crop, offset[1] : offset[1] + crop, :]
    return tf.ensure_shape(square, [*image.shape[:-3], crop, crop, 3])


def pad(image, canvas):
    """Image [h, w, 3] with zeros at the bottom and right, to canvas [2]."""
    below, right = tf.unstack(canvas - tf.shape(image)[:2])
    return tf.pad(image, [[0, below], [0, right], [0, 0]])


def photometric(image, seed, strength):
    """Image [H, W, 3] float32 in 0..255 with random brightness, contrast, saturation and hue (SSD, Liu et al. 2016).

    Each happens half of the time. Strength 1 reaches as far as torchvision's RandomPhotometricDistort: an eighth in
    brightness, half in contrast and saturation, a twentieth of the circle in hue.
    """
    happens = tf.random.stateless_uniform([4], fold(seed, 0)) < 0.5
    by = tf.where(happens, tf.random.stateless_uniform([4], fold(seed, 1), -strength, strength), 0)
    image = tf.cast(image, tf.float32) * (1 + by[0] / 8)
    image = tf.image.adjust_contrast(image, 1 + by[1] / 2)
    image = tf.clip_by_value(image, 0, 255) / 255
    image = tf.image.adjust_saturation(image, tf.maximum(1 + by[2] / 2, 0))
    image = tf.image.adjust_hue(image, by[3] / 20)
    return tf.clip_by_value(image, 0, 1) * 255


def mirrored(seed, config):
    """Whether the image of a seed [2] is mirrored, of `config.flip` a share."""
    return tf.random.stateless_uniform([], fold(seed, FLIP)) < config.flip


def random_size(size, seed, config):
    """Size [2] to which an image of a size [2] is resized in training: to one of the short sides, jittered in scale."""
    which = tf.random.stateless_uniform([], fold(seed, SIDE), 0, len(config.short_side), tf.int32)
    size = resized(size, tf.gather(config.short_side, which), config)
    low, high = config.scale_jitter
    if (low, high) == (1.0, 1.0):
        return size
    jitter = tf.random.stateless_uniform([], fold(seed, SCALE), low, high)
    return tf.maximum(tf.cast(tf.floor(tf.cast(size, tf.float32) * jitter), tf.int32), 1)


def random_window(size, canvas, seed):
    """Offset [2] and size [2] of a window of an image of a size [2] that is no larger than a canvas [2]."""
    window = tf.minimum(size, canvas)
    share = tf.random.stateless_uniform([2], fold(seed, PLACE))
    return tf.cast(share * tf.cast(size - window + 1, tf.float32), tf.int32), window


def cut(image, offset, window):
    """The window of a size [2] at offset [2] of an image [H, W, ...]."""
    (top, left), (height, width) = tf.unstack(offset), tf.unstack(window)
    return image[top : top + height, left : left + width]


def fold(seed, purpose) -> Any:
    """Another seed [2] from a seed [2], for a purpose (an integer)."""
    return tf.random.fold_in(seed, purpose)
