"""Masks as a server gives them: squares of their boxes, pasted into the picture, or COCO's run lengths of that."""

from typing import Literal

import tensorflow as tf

from tfrecog.config import OutputConfig
from tfrecog.ops import masks

Form = Literal["squares", "pasted", "runs"]


def of(form: Form, squares, boxes, labels, sizes, output: OutputConfig):
    """Masks of detections of a form, from squares [B, D, S, S] (probabilities) in boxes [B, D, 4].

    squares: [B, D, S, S], as they are. pasted: [B, D, H, W] uint8, 0 or 1, of pictures of sizes [B, 2] the largest H
    and W. runs: [B, D, R] int32, the run lengths of each, column by column, zeros first; what follows them is 0. No
    more than one mask is held at a time. Empty slots, of label [B, D] 0, are 0.
    """
    if form == "squares":
        return squares
    return (pasted if form == "pasted" else runs)(squares, boxes, labels, sizes, output)


def pasted(squares, boxes, labels, sizes, output: OutputConfig):
    """Masks [B, D, H, W] uint8; see `of`."""
    largest, slots = tf.reduce_max(sizes, axis=0), squares.shape[1]

    def of_picture(one):
        squares, boxes, labels, size = one
        used = tf.maximum(tf.reduce_sum(tf.cast(labels > 0, tf.int32)), 1)  # They come first.
        there = masks.paste(
            squares[:used], boxes[:used], size[0], size[1], threshold=output.mask_threshold, rule=output.paste
        )
        there &= (labels[:used] > 0)[:, None, None]
        below, right = tf.unstack(largest - size)
        return tf.pad(tf.cast(there, tf.uint8), [[0, slots - used], [0, below], [0, right]])

    result = tf.TensorSpec([slots, None, None], tf.uint8)
    return tf.map_fn(of_picture, (squares, boxes, labels, sizes), fn_output_signature=result, parallel_iterations=1)


def runs(squares, boxes, labels, sizes, output: OutputConfig):
    """Masks [B, D, R] int32; see `of`. The rules are those of `ops.masks.paste`, on the pixels of each box alone."""
    slots, side = squares.shape[1:3]
    owner = tf.repeat(tf.range(tf.shape(boxes)[0]), slots)
    flat_squares, flat_boxes = tf.reshape(squares, [-1, side, side]), tf.reshape(boxes, [-1, 4])
    filled, count = tf.reshape(labels, [-1]) > 0, tf.size(owner)

    def of_detection(i):
        size = sizes[owner[i]]
        top, left, crop = (_at_centres if output.paste == "detectron2" else _stretched)(
            flat_squares[i], flat_boxes[i], size
        )
        on = crop >= output.mask_threshold if output.paste == "detectron2" else crop > output.mask_threshold
        return _runs_of(on, top, left, size)

    def body(i, values, lengths):
        found = tf.cond(filled[i], lambda: of_detection(i), lambda: tf.zeros([0], tf.int32))
        return i + 1, values.write(i, found), lengths.write(i, tf.size(found))

    values = tf.TensorArray(tf.int32, count, element_shape=[None], infer_shape=False)
    lengths = tf.TensorArray(tf.int32, count, element_shape=[])
    start = tf.constant(0), values, lengths
    _, values, lengths = tf.while_loop(lambda i, *_: i < count, body, start, parallel_iterations=1)
    ragged = tf.RaggedTensor.from_row_lengths(values.concat(), lengths.stack(), validate=False)
    dense = ragged.to_tensor()
    return tf.reshape(dense, [tf.shape(boxes)[0], slots, tf.shape(dense)[1]])


def _stretched(square, box, size):
    """The first row and column of a box [4], grown and cut to whole pixels, and what is in it [columns, rows]."""
    cells = square.shape[0] + 2
    square = tf.pad(square, [[1, 1], [1, 1]])
    half = (box[2:] - box[:2]) * 0.5 * (cells / (cells - 2))
    centre = (box[2:] + box[:2]) * 0.5
    start, end = tf.cast(centre - half, tf.int32), tf.cast(centre + half, tf.int32)
    extent = tf.maximum(end - start + 1, 1)
    first = tf.maximum(start, 0)
    last = tf.maximum(tf.minimum(start + extent, size), first)

    def weights(axis):
        pixel = tf.cast(tf.range(first[axis], last[axis]) - start[axis], tf.float32)
        at = (pixel + 0.5) * (cells / tf.cast(extent[axis], tf.float32)) - 0.5
        return _hat(tf.clip_by_value(at, 0.0, cells - 1.0), cells)

    return first[0], first[1], _read(square, weights(0), weights(1))


def _at_centres(square, box, size):
    """The same of the pixels whose centres lie less than half a cell outside their box."""
    cells = square.shape[0]
    half_a_cell = 0.5 * (box[2:] - box[:2]) / cells
    limit = tf.cast(size, tf.float32)
    first = tf.cast(tf.clip_by_value(tf.floor(box[:2] - half_a_cell), 0.0, limit), tf.int32)
    last = tf.cast(tf.clip_by_value(tf.math.ceil(box[2:] + half_a_cell), 0.0, limit), tf.int32)
    last = tf.where(box[2:] > box[:2], tf.maximum(last, first), first)  # An empty box shows nothing.

    def weights(axis):
        centre = tf.cast(tf.range(first[axis], last[axis]), tf.float32) + 0.5
        return _hat((centre - box[axis]) / (box[axis + 2] - box[axis]) * cells - 0.5, cells)

    return first[0], first[1], _read(square, weights(0), weights(1))


def _hat(at, cells):
    """Weights [p, cells] of linear interpolation at positions `at` [p]."""
    return tf.maximum(1 - tf.abs(at[:, None] - tf.range(cells, dtype=tf.float32)), 0.0)


def _read(square, rows, columns):
    """Values [columns, rows] of a square [S, S] by weights [rows, S] and [columns, S]."""
    return tf.matmul(tf.matmul(columns, square, transpose_b=True), rows, transpose_b=True)


def _runs_of(on, top, left, size):
    """Run lengths [R] int32 of a mask of a size [2] that is `on` [columns, rows] from (top, left) on, else 0."""
    height, end = size[0], size[0] * size[1]
    rows = tf.shape(on)[1] + 1
    line = tf.pad(tf.reshape(tf.pad(on, [[0, 0], [0, 1]]), [-1]), [[1, 0]])  # a zero before each column, and at the end
    column, row = tf.unstack(tf.transpose(_divided(tf.where(line[1:] != line[:-1])[:, 0], rows)))
    at = (left + column) * height + top + row
    # A run to the bottom of a column that goes on at the top of the next has two flips in one place: it is one run.
    double = tf.equal(at[1:], at[:-1])
    at = tf.boolean_mask(at, ~(tf.pad(double, [[0, 1]]) | tf.pad(double, [[1, 0]]))[: tf.size(at)])
    ends = tf.concat([at, [end]], axis=0)
    return ends - tf.concat([[0], at], axis=0)


def _divided(index, rows):
    index = tf.cast(index, tf.int32)
    return tf.stack([index // rows, index % rows], axis=1)
