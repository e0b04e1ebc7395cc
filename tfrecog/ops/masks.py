"""Masks between three frames: the square of an instance, the roi of a network, the image."""

import tensorflow as tf


def targets(masks, mask_boxes, rois, gt, size):
    """Masks [R, S, S] float32, 0 or 1, of instances gt [R] as seen in rois [R, 4].

    Args:
        masks: [N, M, M], 0 or 1 at the cell centres of the square that spans the instance's box.
        mask_boxes: [N, 4], those boxes.
        gt: [R] int32, which instance each roi stands for.
        size: S.

    The mask is interpolated between cell centres, is 0 outside its box, and is read at the centres of the roi's bins.
    Half or more is 1 (Mask R-CNN trains on binary masks; soft edges only blur what is thresholded when pasted).
    """
    own = tf.cast(tf.gather(masks, gt), tf.float32)
    box = tf.gather(mask_boxes, gt)
    cells = own.shape[1] or tf.shape(own)[1]
    rows = _reading(rois[:, 0], rois[:, 2], box[:, 0], box[:, 2], size, cells)
    columns = _reading(rois[:, 1], rois[:, 3], box[:, 1], box[:, 3], size, cells)
    soft = rows @ own @ tf.transpose(columns, [0, 2, 1])
    return tf.cast(soft >= 0.5, tf.float32)


def paste(masks, boxes, height, width, threshold=0.5, rule="torchvision"):
    """Masks [D, height, width] bool in the image, of masks [D, S, S] (probabilities) in boxes [D, 4].

    Args:
        rule: "torchvision": the mask gets a border of zeros, the box grows with it and is cut to whole pixels, and a
            pixel is on where the interpolated mask is above the threshold. "detectron2": the box stays as it is, and a
            pixel is on where the mask, read at its centre, is at least the threshold; beyond the mask there are zeros.
    """
    size = tf.stack([height, width])

    def one(inputs):
        crop, top, left = crop_of(*inputs, size, threshold, rule)
        columns, rows = tf.unstack(tf.shape(crop))
        return tf.pad(tf.transpose(crop), [[top, height - top - rows], [left, width - left - columns]])

    shape = tf.TensorSpec([height, width] if isinstance(height, int) and isinstance(width, int) else [None, None], bool)
    return tf.map_fn(one, (masks, boxes), fn_output_signature=shape)


def crop_of(mask, box, size, threshold, rule):
    """The pixels that a mask [S, S] can reach from its box [4] in an image of a size [2]; see `paste`.

    Returns:
        [columns, rows] bool, which is as run lengths want them, and the first row and column.
    """
    if rule == "detectron2":
        top, left, values = _at_centres(mask, box, size)
        return values >= threshold, top, left
    top, left, values = _stretched(mask, box, size)
    return values > threshold, top, left


def run_lengths(crop, top, left, size):
    """Run lengths [r] int32 of a mask of a size [2] that is `crop` [columns, rows] from (top, left) on, else 0.

    Those of `ops.rle.encode_crop`, and a 0 behind them where the last pixel is in the mask.
    """
    height, end = size[0], size[0] * size[1]
    rows = tf.shape(crop)[1] + 1
    line = tf.reshape(tf.pad(crop, [[0, 0], [0, 1]]), [-1])
    line = tf.pad(line, [[1, 0]])  # a zero before each column, and at the end
    index = tf.cast(tf.where(line[1:] != line[:-1])[:, 0], tf.int32)
    at = (left + index // rows) * height + top + index % rows
    # A run to the bottom of a column that goes on at the top of the next has two flips in one place: it is one run.
    double = tf.equal(at[1:], at[:-1])
    at = tf.boolean_mask(at, ~(tf.pad(double, [[0, 1]]) | tf.pad(double, [[1, 0]]))[: tf.size(at)])
    return tf.concat([at, [end]], axis=0) - tf.concat([[0], at], axis=0)


def _stretched(mask, box, size):
    """The first row and column of a box [4], grown and cut to whole pixels, and what is in it [columns, rows]."""
    cells = mask.shape[0] + 2
    mask = tf.pad(mask, [[1, 1], [1, 1]])
    half = (box[2:] - box[:2]) * 0.5 * (cells / (cells - 2))
    centre = (box[2:] + box[:2]) * 0.5
    start, end = tf.cast(centre - half, tf.int32), tf.cast(centre + half, tf.int32)
    extent = tf.maximum(end - start + 1, 1)
    first = tf.clip_by_value(start, 0, size)
    last = tf.clip_by_value(start + extent, first, size)

    def weights(axis):
        pixel = tf.cast(tf.range(first[axis], last[axis]) - start[axis], tf.float32)
        return _hat((pixel + 0.5) * (cells / tf.cast(extent[axis], tf.float32)) - 0.5, cells)

    return first[0], first[1], _read(mask, weights(0), weights(1))


def _at_centres(mask, box, size):
    """The same of the pixels whose centres lie less than half a cell outside their box, with zeros beyond it."""
    cells = mask.shape[0]
    half_a_cell = 0.5 * (box[2:] - box[:2]) / cells
    limit = tf.cast(size, tf.float32)
    first = tf.cast(tf.clip_by_value(tf.floor(box[:2] - half_a_cell), 0.0, limit), tf.int32)
    last = tf.cast(tf.clip_by_value(tf.math.ceil(box[2:] + half_a_cell), 0.0, limit), tf.int32)
    last = tf.where(box[2:] > box[:2], tf.maximum(last, first), first)  # An empty box shows nothing.

    def weights(axis):
        centre = tf.cast(tf.range(first[axis], last[axis]), tf.float32) + 0.5
        at = (centre - box[axis]) / (box[axis + 2] - box[axis]) * cells - 0.5
        return tf.maximum(1 - tf.abs(at[:, None] - tf.range(cells, dtype=tf.float32)), 0.0)

    return first[0], first[1], _read(mask, weights(0), weights(1))


def _read(mask, rows, columns):
    """Values [columns, rows] of a mask [S, S] by weights [rows, S] and [columns, S]."""
    return tf.matmul(tf.matmul(columns, mask, transpose_b=True), rows, transpose_b=True)


def _reading(start, end, box_start, box_end, size, cells):
    """Weights [R, S, M] with which S bin centres from start to end read M cells from box_start to box_end."""
    centre = (tf.range(size, dtype=tf.float32) + 0.5) / size
    at = start[:, None] + (end - start)[:, None] * centre
    inside = (at >= box_start[:, None]) & (at <= box_end[:, None])
    at = tf.math.divide_no_nan(at - box_start[:, None], (box_end - box_start)[:, None])
    return tf.where(inside[..., None], _hat(at * tf.cast(cells, tf.float32) - 0.5, cells), 0.0)


def _hat(at, cells):
    """Weights [..., cells] of linear interpolation at positions `at` [...], held constant beyond the outer centres."""
    at = tf.clip_by_value(at, 0.0, tf.cast(cells - 1, tf.float32))
    return tf.maximum(1 - tf.abs(at[..., None] - tf.range(cells, dtype=tf.float32)), 0.0)
