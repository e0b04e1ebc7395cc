"""A record in the TensorFlow graph: what `records.decode` gives, with masks sampled straight from their run lengths."""

import tensorflow as tf

from tfrecog.data import records


def parse(serialized, *, masks, keypoints, mask_size, proposals=False):
    """Tensors of one serialized record, in the graph: what `decode` returns, with square masks.

    Args:
        serialized: string scalar.
        masks: whether to return masks [n, M, M] uint8, each sampled at the centres of an M x M grid over its box.
        keypoints: J to return keypoints [n, J, 3], or 0. Records without keypoints give zeros.
        mask_size: M.
        proposals: whether to return proposals [P, 4]; a record without them gives none.

    Returns:
        dict: encoded, filename, source_id, height, width, boxes [n, 4], labels [n] int32, names [n], crowd [n] bool,
        areas [n], difficult [n] bool, and masks, keypoints and proposals where asked for.
    """

    def scalar(dtype, default):
        return tf.io.FixedLenFeature([], dtype, default)

    def sequence(dtype):
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)

    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/filename": scalar(tf.string, ""),
        "image/source_id": scalar(tf.string, ""),
        "image/height": tf.io.FixedLenFeature([], tf.int64),
        "image/width": tf.io.FixedLenFeature([], tf.int64),
        "image/object/class/label": sequence(tf.int64),
        "image/object/class/text": sequence(tf.string),
        "image/object/is_crowd": sequence(tf.int64),
        "image/object/area": sequence(tf.float32),
        "image/object/difficult": sequence(tf.int64),
    }
    features |= {key: sequence(tf.float32) for key in records.BOX}
    if proposals:
        features |= {key: sequence(tf.float32) for key in records.PROPOSAL}
    if masks:
        features |= {f"image/object/mask/{key}": sequence(tf.int64) for key in ("counts", "runs")}
        features["image/object/mask"] = sequence(tf.string)
    if keypoints:
        features |= {f"image/object/keypoint/{axis}": sequence(tf.float32) for axis in "yx"}
        features["image/object/keypoint/visibility"] = sequence(tf.int64)
    example = tf.io.parse_single_example(serialized, features)

    height, width = example["image/height"], example["image/width"]
    size = tf.stack([height, width, height, width])
    boxes = _to_pixels(tf.stack([example[key] for key in records.BOX], axis=-1), size)
    n = tf.shape(boxes)[0]

    def column(values, missing):
        return tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.broadcast_to(missing, [n]))

    record = {
        "encoded": example["image/encoded"],
        "filename": example["image/filename"],
        "source_id": example["image/source_id"],
        "height": tf.cast(height, tf.int32),
        "width": tf.cast(width, tf.int32),
        "boxes": boxes,
        "labels": tf.cast(column(example["image/object/class/label"], tf.constant(0, tf.int64)), tf.int32),
        "names": column(example["image/object/class/text"], tf.constant("")),
        "crowd": column(example["image/object/is_crowd"], tf.constant(0, tf.int64)) > 0,
        "areas": column(example["image/object/area"], tf.reduce_prod(boxes[:, 2:] - boxes[:, :2], axis=1)),
        "difficult": column(example["image/object/difficult"], tf.constant(0, tf.int64)) > 0,
    }
    if proposals:
        record["proposals"] = _to_pixels(tf.stack([example[key] for key in records.PROPOSAL], axis=-1), size)
    if masks:
        counts, runs = example["image/object/mask/counts"], example["image/object/mask/runs"]
        y, x = _grid(boxes, height, width, mask_size)
        record["masks"] = tf.cond(
            tf.size(runs) > 0,
            lambda: _sample_runs(counts, runs, y, x, height, width),
            lambda: _sample_pngs(example["image/object/mask"], y, x, record["filename"]),
        )
        record["masks"] = tf.ensure_shape(record["masks"], [None, mask_size, mask_size])
    if keypoints:
        visibility = example["image/object/keypoint/visibility"]
        points = tf.stack([example["image/object/keypoint/y"], example["image/object/keypoint/x"]], axis=-1)
        points = _to_pixels(points, tf.stack([height, width]), shift=0.5)
        visibility = tf.cast(visibility, tf.float32)[:, None]
        points = tf.concat([tf.where(visibility > 0, points, 0.0), visibility], axis=-1)
        record["keypoints"] = tf.cond(
            tf.size(visibility) > 0,
            lambda: tf.reshape(points, [n, keypoints, 3]),
            lambda: tf.zeros([n, keypoints, 3]),
        )
    return record


def parse_image(serialized, label_maps=False):
    """encoded, filename, and label_map if asked for, [B] of serialized records [B], without their objects.

    A label map is still encoded; "" where there is none.
    """
    keys = {name: f"image/{name}" for name in ("encoded", "filename")}
    keys |= {"label_map": "image/segmentation/class/encoded"} if label_maps else {}
    features = {key: tf.io.FixedLenFeature([], tf.string, "") for key in keys.values()}
    record = tf.io.parse_example(serialized, features)
    return {name: record[key] for name, key in keys.items()}


def _to_pixels(fractions, size, shift=0.0):
    """Pixels of float32 fractions [..., d] of size [d], to the thousandth."""
    pixels = tf.cast(fractions, tf.float64) * tf.cast(size, tf.float64) + shift
    return tf.cast(tf.round(pixels * records.PER_PIXEL) / records.PER_PIXEL, tf.float32)


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
