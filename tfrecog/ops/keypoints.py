"""Keypoints between two frames: the heat map of a roi and the image (He et al. 2017, section 5)."""

import tensorflow as tf

from tfrecog.ops import target

# Share of its box that an object is taken to fill, since OKS counts the object's area.
_FILLS = 0.6
# Keys' cubic (1981): of the curves that pass through the samples, the one PyTorch's bicubic resize takes.
_CUBIC = -0.75
# Cells of a side of what `_by_tiles` stretches at a time.
_TILE = 64


def targets(keypoints, rois, gt, size):
    """Cells of an S x S heat map that hold the keypoints of instances gt [R], as seen in rois [R, 4].

    A keypoint on the roi's lower or right edge belongs to the last cell.

    Args:
        keypoints: [N, J, 3]: y, x in pixels, visibility (0: not labelled).
        rois: [R, 4].
        gt: [R] int32, which instance each roi stands for.
        size: S.

    Returns:
        index [R, J] int32 in 0..S² - 1, row by row, and valid [R, J] bool: labelled and inside the roi. The index of
        what is not valid is 0.
    """
    own = tf.gather(keypoints, gt)
    points, start, end = own[..., :2], rois[:, None, :2], rois[:, None, 2:]
    cell = tf.cast(tf.floor((points - start) * tf.math.divide_no_nan(float(size), end - start)), tf.int32)
    cell = tf.where(points == end, size - 1, cell)
    inside = tf.reduce_all((points >= start) & (points <= end) & (cell < size), axis=-1)
    valid = inside & (own[..., 2] > 0) & tf.reduce_all(end > start, axis=-1)
    return tf.where(valid, cell[..., 0] * size + cell[..., 1], 0), valid


def decode(logits, boxes):
    """Keypoints [D, J, 3] of heat maps [D, S, S, J] in boxes [D, 4]: y, x in pixels, and the peak's logit.

    The rule of torchvision's `heatmaps_to_keypoints`: the map is stretched over the box, whose sides are rounded up to
    whole cells of at most a pixel, and the keypoint is the centre of the highest cell, the first of equal ones.
    """

    def one(inputs):
        maps, start, side = inputs
        cells = tf.math.ceil(side)
        rows, columns = (_cubic(tf.cast(n, tf.int32), maps.shape[0]) for n in tf.unstack(cells))
        stretched = tf.matmul(rows @ tf.transpose(maps, [2, 0, 1]), columns, transpose_b=True)
        flat = tf.reshape(stretched, [maps.shape[2], -1])
        peak = tf.argmax(flat, axis=1, output_type=tf.int32)
        width = tf.shape(columns)[0]
        cell = tf.cast(tf.stack([peak // width, peak % width], axis=-1), tf.float32)
        return tf.concat([start + (cell + 0.5) * (side / cells), tf.reduce_max(flat, axis=1)[:, None]], axis=-1)

    start, side = boxes[:, :2], tf.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    if target.target() == "tflite":
        return _by_tiles(tf.cast(logits, tf.float32), start, side)
    return tf.map_fn(
        one,
        (tf.cast(logits, tf.float32), start, side),
        fn_output_signature=tf.TensorSpec([logits.shape[-1], 3], tf.float32),
    )


def _by_tiles(logits, start, side):
    """`decode` in tensors whose sizes are known before: each map tile by tile, as many as its box has.

    TensorFlow Lite's GPU delegate refuses a file in which a size depends on values, be it in a loop on the CPU. Nor
    should it take a loop: a tile is too little work for a transfer, and in float16 a place would be off by a quarter of
    a pixel. It leaves tensors of five dimensions alone, and int64. (It leaves alone, too, all differences of a file in
    which one is of those, and there are some in the network: so here are only sums.)
    """
    detections, size, _, joints = logits.shape
    maps = tf.transpose(logits, [0, 3, 1, 2])[:, None, None]  # [D, 1, 1, J, S, S]
    cells = tf.math.ceil(side)
    heights, widths = (tf.cast(cells[:, axis], tf.int64) for axis in (0, 1))
    own = tf.reshape(tf.eye(detections, dtype=tf.bool), [detections, detections, 1, 1, 1, 1])

    def weights(first, length):
        places = tf.minimum(first + tf.range(_TILE, dtype=tf.int64), length + -1)  # The last one again, beyond it.
        places, length = tf.reshape(places, [1, 1, 1, _TILE, 1]), tf.reshape(length, [1, 1, 1, 1, 1])
        return _held(tf.cast(places, tf.float32), tf.cast(length, tf.float32), size)

    def body(one, row, column, peak, at):
        height, width = tf.gather(heights, one), tf.gather(widths, one)
        stretched = tf.matmul(weights(row, height) @ tf.gather(maps, one), weights(column, width), transpose_b=True)
        flat = tf.reshape(stretched, [1, 1, 1, joints, _TILE**2])
        top, cell = tf.reduce_max(flat, axis=-1), tf.cast(tf.argmax(flat, axis=-1)[None], tf.float32)
        old_top, old_cell = tf.gather(peak, one), tf.gather(at, one)
        top, old_top, old_cell = (tf.reshape(x, [1, 1, 1, 1, joints]) for x in (top, old_top, old_cell))
        # As a number by row in the whole map: of equal cells the first counts, whichever tile it is in.
        down = tf.floor(cell / _TILE)
        corner, across = (tf.reshape(x, [1, 1, 1, 1, 1]) for x in (row * width + column, width))
        cell = tf.cast(corner, tf.float32) + down * tf.cast(across, tf.float32) + (cell + down * -_TILE)
        better = (top > old_top) | ((top == old_top) & (cell < old_cell))
        mine = tf.gather(own, one)
        peak = tf.where(mine, tf.where(better, top, old_top), peak)
        at = tf.where(mine, tf.where(better, cell, old_cell), at)
        column += _TILE
        row, column = tf.where(column < width, row, row + _TILE), tf.where(column < width, column, 0)
        return tf.where(row < height, one, one + 1), tf.where(row < height, row, 0), column, peak, at

    shape, zero = [detections, 1, 1, 1, joints], tf.constant(0, tf.int64)
    state = zero, zero, zero, tf.fill(shape, -float("inf")), tf.zeros(shape)
    *_, peak, at = tf.while_loop(lambda one, *_: one < detections, body, state)
    peak, at = (tf.reshape(x, [detections, joints]) for x in (peak, at))
    at, width = tf.cast(at, tf.int32), tf.cast(cells[:, 1:], tf.int32)
    cell = tf.cast(tf.stack([at // width, at % width], axis=-1), tf.float32)
    points = start[:, None] + (cell + 0.5) * (side / cells)[:, None]
    return tf.concat([points, peak[..., None]], axis=-1)


def decode_expected(logits, spans, area, sigmas):
    """Keypoints [D, J, 3] of heat maps [D, S, S, J] that span boxes [D, 4], where the expected OKS is greatest.

    The softmax of a map is a distribution of where the keypoint is. A keypoint at p has by it an expected OKS of
    sum over cells c of P(c) exp(-|p - c|² / (2 (2 sigma)² area)), the map blurred by a Gaussian. Of two peaks the one
    with more around it wins, and not the sharper one. Between cells the top is that of a parabola.

    Args:
        area: [D], square pixels of the boxes of the objects.
        sigmas: [J], of OKS.

    Returns:
        y, x in pixels, and the map's highest logit, as of `decode`.
    """
    logits = tf.transpose(tf.cast(logits, tf.float32), [0, 3, 1, 2])
    detections, joints, size = tf.shape(logits)[0], *logits.shape[1:3]
    flat = tf.reshape(logits, [detections, joints, size * size])
    chance = tf.reshape(tf.nn.softmax(flat), tf.shape(logits))
    start, cell = spans[:, :2], (spans[:, 2:] - spans[:, :2]) / size
    width = 2 * tf.constant(sigmas, tf.float32) * tf.sqrt(_FILLS * tf.maximum(area, 1.0))[:, None]  # [D, J]
    apart = tf.square(tf.range(size, dtype=tf.float32)[:, None] - tf.range(size, dtype=tf.float32))

    def kernel(side):  # [D, J, S, S], from cell to cell along an axis
        return tf.exp(-apart * tf.square(side[:, None] / width)[..., None, None] / 2)

    oks = kernel(cell[:, 0]) @ chance @ kernel(cell[:, 1])
    top = tf.argmax(tf.reshape(oks, [detections, joints, -1]), axis=-1, output_type=tf.int32)
    row, column = top // size, top % size
    across = tf.gather(oks, row, batch_dims=2)  # [D, J, S]
    down = tf.gather(tf.linalg.matrix_transpose(oks), column, batch_dims=2)
    at = tf.stack([_top(down, row), _top(across, column)], axis=-1)
    points = start[:, None] + (at + 0.5) * cell[:, None]
    return tf.concat([points, tf.reduce_max(flat, axis=-1)[..., None]], axis=-1)


def to_original(keypoints, scale):
    """Keypoints [..., D, J, 3] of images resized by scale [..., 2], in pixels of the originals."""
    return keypoints / tf.concat([scale, tf.ones_like(scale[..., :1])], axis=-1)[..., None, None, :]


def _top(values, cell):
    """Where [...] the parabola through a cell [...] of values [..., S] and its neighbours is highest, in cells."""
    size = values.shape[-1]
    before, here, after = (
        tf.gather(values, tf.clip_by_value(cell + shift, 0, size - 1), batch_dims=2) for shift in (-1, 0, 1)
    )
    shift = tf.math.divide_no_nan(0.5 * (before - after), before - 2 * here + after)
    inside = (cell > 0) & (cell < size - 1)
    return tf.cast(cell, tf.float32) + tf.where(inside, tf.clip_by_value(shift, -0.5, 0.5), 0.0)


def _cubic(length, cells):
    """Weights [length, cells] of cubic interpolation of cells stretched to a length, the border cells held outside."""
    at = (tf.range(length, dtype=tf.float32) + 0.5) * (cells / tf.cast(length, tf.float32)) - 0.5
    before = tf.floor(at)
    weights = 0.0
    for tap in range(-1, 3):
        cell = tf.clip_by_value(tf.cast(before, tf.int32) + tap, 0, cells - 1)
        weights += tf.one_hot(cell, cells) * _cubic_weight(tf.abs(at - before - tap))[:, None]
    return weights


def _held(places, length, cells):
    """Weights [..., T, cells] as of `_cubic`, of places [..., T, 1] of a length, without a condition."""
    at = (places + 0.5) * (cells / length) + -0.5
    # Two cells more on each side, which hold the border's values.
    distance = tf.abs(at + tf.range(2, -cells - 2, -1, dtype=tf.float32))
    near, far = tf.minimum(distance, 1.0), tf.clip_by_value(distance, 1.0, 2.0)
    weights = _near(near) + _far(far)  # Where one of them does not apply, it is 0.
    first = tf.reduce_sum(weights[..., :3], axis=-1, keepdims=True)
    last = tf.reduce_sum(weights[..., -3:], axis=-1, keepdims=True)
    return tf.concat([first, weights[..., 3:-3], last], axis=-1)


def _cubic_weight(distance):
    """Weight of a sample at a distance in [0, 2]."""
    return tf.where(distance <= 1, _near(distance), _far(distance))


def _near(distance):
    return ((_CUBIC + 2) * distance + (-_CUBIC - 3)) * distance**2 + 1


def _far(distance):
    a = _CUBIC
    return ((a * distance + -5 * a) * distance + 8 * a) * distance + -4 * a
