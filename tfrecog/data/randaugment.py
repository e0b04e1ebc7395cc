"""RandAugment (Cubuk et al. 2020): a few random operations of one strength, on pictures [H, W, 3] float32 in 0..255.

The list of operations, their ranges and their arithmetic in whole numbers are torchvision's: 14 of them with the
identity; those with a direction go the other way half of the time; geometric ones read the nearest pixel, and what was
outside is 0.
"""

import tensorflow as tf

from tfrecog.data.augment import blend, grey
from tfrecog.data.image import fold

MOST = 30.0  # the greatest magnitude
SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast", "sharpness")


def randaugment(picture, seed, layers, magnitude):
    """The picture [H, W, 3], in whole numbers, after so many operations, each drawn anew, of a magnitude in 0..30."""
    picture = tf.round(picture)
    names = list(OPERATIONS)
    for layer in range(layers):
        of_layer = fold(seed, layer)
        which = tf.random.stateless_uniform([], fold(of_layer, 0), 0, len(names), tf.int32)
        sign = tf.where(tf.random.stateless_uniform([], fold(of_layer, 1)) < 0.5, -1.0, 1.0)
        branches = [lambda name=name, now=picture, sign=sign: apply(name, now, magnitude, sign) for name in names]
        picture = tf.ensure_shape(tf.switch_case(which, branches), picture.shape)
    return picture


def apply(name, picture, magnitude, sign=1.0):
    """One operation of a magnitude in 0..30 on a picture of whole numbers; `sign` is -1 for the other direction."""
    return OPERATIONS[name](picture, magnitude / MOST * (sign if name in SIGNED else 1.0))


def _shear_x(picture, strength):
    slope = 0.3 * strength
    return _projected(picture, [1, slope, 0.5 * slope, 0, 1, 0])


def _shear_y(picture, strength):
    slope = 0.3 * strength
    return _projected(picture, [1, 0, 0, slope, 1, 0.5 * slope])


def _translate_x(picture, strength):
    width = tf.cast(tf.shape(picture)[1], tf.float32)
    return _projected(picture, [1, 0, -_towards_0(150 / 331 * width * strength), 0, 1, 0])


def _translate_y(picture, strength):
    height = tf.cast(tf.shape(picture)[0], tf.float32)
    return _projected(picture, [1, 0, 0, 0, 1, -_towards_0(150 / 331 * height * strength)])


def _rotate(picture, strength):
    angle = tf.constant(3.14159265 / 6) * strength  # up to 30 degrees
    cos, sin = tf.cos(angle), tf.sin(angle)
    y, x = tf.unstack(tf.cast(tf.shape(picture)[:2] - 1, tf.float32) / 2)  # of the centre, in pixel indices
    return _projected(picture, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y])


def _projected(picture, matrix):
    """The picture whose pixel (x, y) is the one at a x + b y + c, d x + e y + f of the picture, for a, …, f."""
    matrix = tf.stack([tf.cast(number, tf.float32) for number in [*matrix, 0, 0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=picture[None],
        transforms=matrix[None],
        output_shape=tf.shape(picture)[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]


def _brightness(picture, strength):
    return tf.floor(tf.clip_by_value(picture * (1 + 0.9 * strength), 0, 255))


def _color(picture, strength):
    return tf.floor(blend(picture, tf.floor(grey(picture)), 1 + 0.9 * strength))


def _contrast(picture, strength):
    return tf.floor(blend(picture, tf.reduce_mean(tf.floor(grey(picture))), 1 + 0.9 * strength))


def _sharpness(picture, strength):
    """Away from, or towards, the mean of 3 x 3 pixels in which the middle counts 5 of 13; the border stays."""
    channels = tf.transpose(picture, [2, 0, 1])[..., None]
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32)[..., None, None] / 13
    smooth = tf.round(tf.transpose(tf.nn.conv2d(channels, kernel, 1, "VALID")[..., 0], [1, 2, 0]))
    inside = picture[1:-1, 1:-1]
    sharp = tf.floor(tf.clip_by_value(inside + (inside - smooth) * (0.9 * strength), 0, 255))
    border = picture - tf.pad(inside, [[1, 1], [1, 1], [0, 0]])
    return border + tf.pad(sharp, [[1, 1], [1, 1], [0, 0]])


def _posterize(picture, strength):
    """The highest bits alone, 8 down to 4."""
    step = tf.pow(2.0, tf.round(4.0 * strength))
    return tf.floor(picture / step) * step


def _solarize(picture, strength):
    """Negative from a threshold on, 255 down to 0."""
    return tf.where(picture >= 255 * (1.0 - strength), 255 - picture, picture)


def _autocontrast(picture, strength):
    """Each channel stretched to 0..255."""
    low, high = tf.reduce_min(picture, [0, 1]), tf.reduce_max(picture, [0, 1])
    stretched = tf.floor(tf.clip_by_value((picture - low) / ((high - low) * (1 / 255)), 0, 255))
    return tf.where(high > low, stretched, picture)


def _equalize(picture, strength):
    """Each channel with as even a histogram as a table of its 256 values can give it, by Pillow's rule."""
    values = tf.cast(picture, tf.int32) + 256 * tf.range(3)
    counts = tf.reshape(tf.math.bincount(tf.reshape(values, [-1]), minlength=768, maxlength=768), [3, 256])
    total = tf.reduce_sum(counts, axis=1, keepdims=True)
    brightest = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    step = (total - tf.gather(counts, brightest, batch_dims=1)[:, None]) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), values), tf.float32)


def _towards_0(number):
    return tf.sign(number) * tf.floor(tf.abs(number))


OPERATIONS = {
    "identity": lambda picture, strength: picture,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
