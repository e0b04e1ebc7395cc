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
    shape = tf.TensorSpec([height, width] if isinstance(height, int) and isinstance(width, int) else [None, None], bool)
    if rule == "detectron2":

        def one_at_centres(inputs):
            mask, box = inputs
            rows = _at_centres(box[0], box[2], height, mask.shape[0])
            columns = _at_centres(box[1], box[3], width, mask.shape[1])
            return tf.matmul(rows @ mask, columns, transpose_b=True) >= threshold

        return tf.map_fn(one_at_centres, (masks, boxes), fn_output_signature=shape)

    size = masks.shape[1] + 2
    masks = tf.pad(masks, [[0, 0], [1, 1], [1, 1]])
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * (size / (size - 2))
    centre = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    start, end = tf.cast(centre - half, tf.int32), tf.cast(centre + half, tf.int32)
    extent = tf.maximum(end - start + 1, 1)

    def one(inputs):
        mask, start, extent = inputs
        rows = _interpolation(start[0], extent[0], height, size)
        columns = _interpolation(start[1], extent[1], width, size)
        return tf.matmul(rows @ mask, columns, transpose_b=True) > threshold

    return tf.map_fn(one, (masks, start, extent), fn_output_signature=shape)


def _at_centres(start, end, length, cells):
    """Weights [length, cells] with which pixel centres read cells that span [start, end], with zeros beyond them."""
    centre = tf.range(length, dtype=tf.float32) + 0.5
    share = tf.where(end > start, (centre - start) / (end - start), -1.0)  # -1 is beyond: an empty box shows nothing.
    at = share * tf.cast(cells, tf.float32) - 0.5
    return tf.maximum(1 - tf.abs(at[:, None] - tf.range(cells, dtype=tf.float32)), 0.0)


def _interpolation(start, extent, length, cells):
    """Weights [length, cells] of cells stretched to `extent` pixels from pixel `start` on; 0 for pixels outside."""
    pixel = tf.range(length) - start
    inside = (pixel >= 0) & (pixel < extent)
    at = (tf.cast(pixel, tf.float32) + 0.5) * (tf.cast(cells, tf.float32) / tf.cast(extent, tf.float32)) - 0.5
    return tf.where(inside[:, None], _hat(at, cells), 0.0)


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
