"""What a classifier sees of a picture while it learns: random crops, mirrors, colours, and mixtures of two pictures.

Pictures are [H, W, 3] float32 in 0..255. All that is random is a function of a seed [2], so a run resumes bit for bit;
what has a random part and a plain one is two functions, of which the plain one can be compared with others' figures.
"""

import numpy as np
import tensorflow as tf

from tfrecog.data.image import fold

TRIES = 10  # of `inception`, before it takes the middle
GREY = (0.2989, 0.587, 0.114)  # of red, green and blue, rounded as by torchvision
# Deviations along, and directions (columns) of, the principal components of the colours of ImageNet's training images,
# in shares of 255 (Krizhevsky et al. 2012, section 4.1; the figures are those of fb.resnet.torch).
PRINCIPAL_DEVIATIONS = np.float32([0.2175, 0.0188, 0.0045])
PRINCIPAL_COLOURS = np.float32([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def inception(size, seed, area, aspect):
    """Window [4] int32 (top, left, height, width) of a picture of a size [2]: a random area and shape.

    The area is uniform in `area`, a range of shares of the picture's; width / height is log-uniform in the range
    `aspect`. Where ten draws do not fit in the picture, it is the largest window in the middle that keeps to `aspect`
    (Szegedy et al. 2015, section 6, in torchvision's form).
    """
    draws = tf.random.stateless_uniform([TRIES, 4], seed)
    whole = tf.cast(size, tf.float32)
    share = area[0] + (area[1] - area[0]) * draws[:, 0]
    shape = tf.exp(np.log(aspect[0]) + np.log(aspect[1] / aspect[0]) * draws[:, 1])
    sides = tf.sqrt(whole[0] * whole[1] * share)[:, None] * tf.sqrt(tf.stack([1 / shape, shape], axis=-1))
    sides = tf.cast(tf.round(sides), tf.int32)
    fits = tf.reduce_all((sides > 0) & (sides <= size), axis=-1)
    first = tf.argmax(fits)  # 0 where none fits
    window = tf.where(fits[first], sides[first], _middle_of_shape(whole, aspect))
    centred = (size - window) // 2
    return tf.concat([tf.where(fits[first], _place(size - window, draws[first, 2:]), centred), window], axis=0)


def _middle_of_shape(whole, aspect):
    """Size [2] int32 of the largest window of a picture of size [2] whose width / height is in the range `aspect`."""
    height, width = tf.unstack(whole)
    limits = tf.stack([tf.minimum(height, width / aspect[0]), tf.minimum(width, height * aspect[1])])
    return tf.maximum(tf.cast(tf.round(limits), tf.int32), 1)


def _place(room, share):
    """Offsets int32, uniform in 0..room, of shares in [0, 1)."""
    room = tf.cast(room, tf.float32)
    return tf.cast(tf.minimum(tf.floor(share * (room + 1)), room), tf.int32)


def square(picture, side, seed):
    """A random square [S, S, 3] of a picture whose sides are at least S (Krizhevsky et al. 2012, section 4.1)."""
    y, x = tf.unstack(_place(tf.shape(picture)[:2] - side, tf.random.stateless_uniform([2], seed)))
    return tf.ensure_shape(picture[y : y + side, x : x + side], [side, side, 3])


def flip(picture, seed, probability):
    """The picture, or with a probability its mirror image, left to right."""
    flipped = tf.random.stateless_uniform([], seed) < probability
    return tf.cond(flipped, lambda: tf.reverse(picture, axis=[1]), lambda: picture)


def shift(picture, seed, most):
    """The picture shifted by up to this many pixels each way, padded with 0."""
    y, x = tf.unstack(tf.random.stateless_uniform([2], seed, 0, 2 * most + 1, tf.int32))
    height, width, _ = tf.unstack(tf.shape(picture))
    moved = tf.pad(picture, [[most, most], [most, most], [0, 0]])[y : y + height, x : x + width]
    return tf.ensure_shape(moved, picture.shape)


def jitter(picture, seed, strength):
    """The picture with random brightness, contrast and saturation, in random order.

    Each factor is uniform in 1 - strength .. 1 + strength, from 0 on, for its strength of the three; the rule of
    torchvision's ColorJitter (Howard 2013).
    """
    low = np.maximum(1 - np.float32(strength), 0)
    share = tf.random.stateless_uniform([3], fold(seed, 0))
    factors = low + (1 + np.float32(strength) - low) * share
    order = tf.argsort(tf.random.stateless_uniform([3], fold(seed, 1)))
    kinds = (brightness, contrast, saturation)
    for place in range(3):
        kind, now = order[place], picture
        branches = [lambda of=of, i=i, now=now: of(now, factors[i]) for i, of in enumerate(kinds)]
        picture = tf.switch_case(kind, branches)
    return picture


def brightness(picture, factor):
    """The picture times a factor, in 0..255."""
    return tf.clip_by_value(picture * factor, 0, 255)


def contrast(picture, factor):
    """The picture, `factor` times as far from its mean grey, in 0..255."""
    return blend(picture, tf.reduce_mean(grey(picture)), factor)


def saturation(picture, factor):
    """The picture, `factor` times as far from its greys, in 0..255."""
    return blend(picture, grey(picture), factor)


def grey(picture):
    """Greys [H, W, 1] of a picture."""
    return tf.reduce_sum(picture * GREY, axis=-1, keepdims=True)


def blend(picture, other, share):
    """`share` of a picture and 1 - share of another, in 0..255; a share of more than 1 goes beyond the picture."""
    return tf.clip_by_value(picture * share + other * (1 - share), 0, 255)


def lighting(picture, seed, deviation):
    """The picture plus one random colour, in 0..255: normal noise along the principal colours of ImageNet."""
    noise = tf.random.stateless_normal([3], seed, stddev=deviation)
    return tf.clip_by_value(picture + 255 * tf.linalg.matvec(PRINCIPAL_COLOURS, noise * PRINCIPAL_DEVIATIONS), 0, 255)


def mixup(images, labels, seed, alpha):
    """Mixtures of the images [B, ...] of a batch in pairs (Zhang et al. 2018).

    Image i is share * itself + (1 - share) * image j, for a random permutation j of the whole batch, which therefore is
    mixed before it is divided among replicas. A share is drawn from Beta(alpha, alpha) for each image. What is damaged
    (label 0) is mixed with nothing.

    Returns:
        images, `other` [B] int32: the labels of the images j, and `share` [B] float32.
    """
    count = len(images) if images.shape[0] is None else images.shape[0]
    partner = tf.argsort(tf.random.stateless_uniform([count], fold(seed, 0)))
    share = beta(fold(seed, 1), alpha, count)
    other = tf.gather(labels, partner)
    share = tf.where((labels > 0) & (other > 0), share, 1.0)
    other = tf.where(other > 0, other, labels)
    weight = tf.reshape(share, [-1] + [1] * (images.shape.rank - 1))
    return weight * images + (1 - weight) * tf.gather(images, partner), other, share


def beta(seed, alpha, count):
    """Draws [count] float32 from the beta distribution with both parameters alpha."""
    # Of a small alpha a gamma variable is often less than any float32: 0 / 0. In float64 that begins at alpha = 0.01,
    # where the greater of two decides anyway.
    one, two = tf.unstack(tf.random.stateless_gamma([2, count], seed, tf.constant(alpha, tf.float64), dtype=tf.float64))
    share = tf.where(one + two > 0, one / tf.where(one + two > 0, one + two, 1), tf.cast(one >= two, tf.float64))
    return tf.cast(share, tf.float32)
