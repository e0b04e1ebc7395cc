"""Masks of a SavedModel: squares of their boxes, pasted into the picture, or COCO's run lengths of that."""

import tensorflow as tf

from tfrecog.config import OutputConfig
from tfrecog.ops import masks


def encode(form: str, squares, boxes, labels, sizes, output: OutputConfig):
    """Masks of detections of a form, from squares [B, D, S, S] (probabilities) in boxes [B, D, 4].

    squares: [B, D, S, S], as they are. pasted: [B, D, H, W] uint8, 0 or 1, of pictures of sizes [B, 2] the largest H
    and W. runs: [B, D, R] int32, the run lengths of each, column by column, zeros first; what follows them is 0. No
    more than one mask is held at a time. Empty slots, of label [B, D] 0, are 0.
    """
    if form == "squares":
        return squares
    return (pasted if form == "pasted" else runs)(squares, boxes, labels, sizes, output)


def pasted(squares, boxes, labels, sizes, output: OutputConfig):
    """Masks [B, D, H, W] uint8; see `encode`."""
    largest, slots = tf.reduce_max(sizes, axis=0), squares.shape[1]

    def of_picture(one):
        squares, boxes, labels, size = one
        used = tf.maximum(tf.reduce_sum(tf.cast(labels > 0, tf.int32)), 1)  # They come first.
        filled_masks = masks.paste(
            squares[:used], boxes[:used], size[0], size[1], threshold=output.mask_threshold, rule=output.paste
        )
        filled_masks &= (labels[:used] > 0)[:, None, None]
        below, right = tf.unstack(largest - size)
        return tf.pad(tf.cast(filled_masks, tf.uint8), [[0, slots - used], [0, below], [0, right]])

    result = tf.TensorSpec([slots, None, None], tf.uint8)
    return tf.map_fn(of_picture, (squares, boxes, labels, sizes), fn_output_signature=result, parallel_iterations=1)


def runs(squares, boxes, labels, sizes, output: OutputConfig):
    """Masks [B, D, R] int32; see `encode`."""
    slots, side = squares.shape[1:3]
    owner = tf.repeat(tf.range(tf.shape(boxes)[0]), slots)
    flat_squares, flat_boxes = tf.reshape(squares, [-1, side, side]), tf.reshape(boxes, [-1, 4])
    filled, count = tf.reshape(labels, [-1]) > 0, tf.size(owner)

    def of_detection(i):
        size = sizes[owner[i]]
        return masks.run_lengths(
            *masks.crop_of(flat_squares[i], flat_boxes[i], size, output.mask_threshold, output.paste), size
        )

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
