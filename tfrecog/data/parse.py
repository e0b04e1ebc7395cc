"""A record in the TensorFlow graph: what `records.decode` gives, with masks sampled straight from their run lengths."""

import tensorflow as tf

from tfrecog.data import fields
from tfrecog.data.fields import BOX, IMAGE_FIELDS, OBJECT_FIELDS, POINT, PROPOSAL, VISIBILITY

_TYPES = {bytes: tf.string, str: tf.string, float: tf.float32, int: tf.int64, bool: tf.int64}


def parse(serialized, names, *, mask_size=0, keypoints=0):
    """Tensors of one serialized record, in the graph: what `decode` returns of it, by the names of a `Record`.

    Args:
        serialized: string scalar.
        names: which are wanted beside height, width and filename, such as encoded, boxes [n, 4], labels [n] int64 and
            proposals [P, 4]. Masks are square, [n, M, M] uint8: each sampled at the centres of an M x M grid over its
            box. Of what a record lacks, difficult and truncated are false, poses and label_map "", proposals none and
            keypoints zeros.
        mask_size: M.
        keypoints: J of keypoints [n, J, 3].
    """
    names = {"height", "width", "filename", *names}
    columns = [*BOX, *(OBJECT_FIELDS[name] for name in names & OBJECT_FIELDS.keys())]
    columns += PROPOSAL if "proposals" in names else ()
    columns += (fields.COUNTS, fields.RUNS, fields.PNGS) if "masks" in names else ()
    columns += (*POINT, VISIBILITY) if "keypoints" in names else ()
    features = {IMAGE_FIELDS[name].key: _feature(IMAGE_FIELDS[name]) for name in names & IMAGE_FIELDS.keys()}
    for field in columns:
        features[field.key] = tf.io.FixedLenSequenceFeature([], _TYPES[field.type], allow_missing=True)
    example = tf.io.parse_single_example(serialized, features)

    record = {name: example[IMAGE_FIELDS[name].key] for name in names & IMAGE_FIELDS.keys()}
    size = tf.stack([record["height"], record["width"]])
    boxes = to_boxes(example, BOX, size)
    record |= {name: _column(example, OBJECT_FIELDS[name], boxes) for name in names & OBJECT_FIELDS.keys()}
    if "boxes" in names:
        record["boxes"] = boxes
    if "proposals" in names:
        record["proposals"] = to_boxes(example, PROPOSAL, size)
    if "masks" in names:
        record["masks"] = _masks(example, boxes, size, mask_size)
    if "keypoints" in names:
        record["keypoints"] = _keypoints(example, tf.shape(boxes)[0], size, keypoints)
    return record


def parse_images(serialized, names):
    """What `decode` returns of serialized records [B], by names of IMAGE_FIELDS, "" or 0 for what a record lacks.

    A record that cannot be read is empty, and lacks all.
    """
    features = {IMAGE_FIELDS[name].key: _feature(IMAGE_FIELDS[name], required=False) for name in names}
    record = tf.io.parse_example(serialized, features)
    return {name: record[IMAGE_FIELDS[name].key] for name in names}


def to_boxes(example, sides, size):
    """Boxes [..., n, 4] in pixels of the parsed fractions under BOX or PROPOSAL, of images of a size [..., 2]."""
    fractions = tf.cast(tf.stack([example[side.key] for side in sides], axis=-1), tf.float64)
    size = tf.cast(tf.concat([size, size], axis=-1), tf.float64)[..., None, :]
    return tf.cast(fields.to_pixels(fractions, size, round=tf.round), tf.float32)


def _feature(field, required=True):
    if field.missing is fields.REQUIRED and required:
        return tf.io.FixedLenFeature([], _TYPES[field.type])
    missing = field.type() if field.missing in (fields.REQUIRED, None) else field.missing
    return tf.io.FixedLenFeature([], _TYPES[field.type], missing)


def _column(example, field, boxes):
    values, n = example[field.key], tf.shape(boxes)[0]
    missing = field.missing(boxes) if callable(field.missing) else field.missing
    missing = tf.cast(field.type() if missing is None else missing, values.dtype)
    values = tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.broadcast_to(missing, [n]))
    return values != 0 if field.type is bool else values


def _masks(example, boxes, size, mask_size):
    counts, runs = example[fields.COUNTS.key], example[fields.RUNS.key]
    height, width = tf.unstack(size)
    y, x = _grid(boxes, height, width, mask_size)
    masks = tf.cond(
        tf.size(runs) > 0,
        lambda: _sample_runs(counts, runs, y, x, height, width),
        lambda: _sample_pngs(example[fields.PNGS.key], y, x, example[IMAGE_FIELDS["filename"].key]),
    )
    return tf.ensure_shape(masks, [None, mask_size, mask_size])


def _keypoints(example, n, size, joints):
    visibility = tf.cast(example[VISIBILITY.key], tf.float32)[:, None]
    fractions = tf.cast(tf.stack([example[axis.key] for axis in POINT], axis=-1), tf.float64)
    points = tf.cast(fields.to_points(fractions, tf.cast(size, tf.float64), round=tf.round), tf.float32)
    points = tf.concat([tf.where(visibility > 0, points, 0.0), visibility], axis=-1)
    return tf.cond(
        tf.size(visibility) > 0,
        lambda: tf.reshape(points, [n, joints, 3]),
        lambda: tf.zeros([n, joints, 3]),
    )


def _grid(boxes, height, width, mask_size):
    """Rows y [n, M] and columns x [n, M] int64 of the pixels under the centres of each box's M x M cells."""
    steps = (tf.range(mask_size, dtype=tf.float32) + 0.5) / mask_size
    points = boxes[:, :2, None] + (boxes[:, 2:] - boxes[:, :2])[..., None] * steps
    pixels = tf.cast(tf.floor(points), tf.int64)
    return tf.clip_by_value(pixels[:, 0], 0, height - 1), tf.clip_by_value(pixels[:, 1], 0, width - 1)


def _sample_runs(counts, runs, y, x, height, width):
    """Masks [n, M, M] uint8 at rows y and columns x, straight from the run lengths."""
    # All masks are one long sequence of runs: a pixel belongs to as many runs as have ended before it, and the odd runs
    # of its own mask are the ones.
    pixels = height * width
    ends = tf.cumsum(counts)
    first = tf.cumsum(runs, exclusive=True)
    start = tf.range(tf.size(runs, tf.int64)) * pixels
    queries = start[:, None, None] + x[:, None, :] * height + y[:, :, None]
    run = tf.searchsorted(ends, tf.reshape(queries, [-1]), side="right", out_type=tf.int64)
    run = tf.reshape(run, tf.shape(queries)) - first[:, None, None]
    return tf.cast(tf.bitwise.bitwise_and(run, 1), tf.uint8)


def _sample_pngs(pngs, y, x, filename):
    """Masks [n, M, M] uint8 at rows y and columns x of full-size PNGs [n]."""
    remedy = ": build the records with masks, or set --nodetector.masks"
    message = tf.strings.join(["not every instance has a mask in the record of ", filename, remedy])
    has_all = tf.Assert(tf.equal(tf.size(pngs), tf.shape(y)[0]), [message])

    def sample(arguments):
        png, rows, columns = arguments
        mask = tf.io.decode_png(png, channels=1)[..., 0]
        return tf.cast(tf.gather(tf.gather(mask, rows), columns, axis=1) > 0, tf.uint8)

    with tf.control_dependencies([has_all]):
        return tf.map_fn(sample, (pngs, y, x), fn_output_signature=tf.uint8)
