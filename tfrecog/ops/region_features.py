"""Features of regions: RoIAlign (Mask R-CNN, section 3), RoIPool (Fast R-CNN, section 2.1), and SPP-net's pyramid."""

import functools

import tensorflow as tf

from tfrecog.ops import boxes as box_ops
from tfrecog.ops import roi_align as bilinear
from tfrecog.ops import roi_align_adaptive, roi_pool_tflite
from tfrecog.ops import roi_pool as maximum
from tfrecog.ops import target as lowerings


def roi_align(features, boxes, *, size, stride=None, sampling_ratio=2, aligned=True, lowering="auto"):
    """Features [B, R, S, S, C] of boxes [B, R, 4]: a map read at sampling_ratio² points in each of S² bins.

    A sample beyond the map's border cells is 0, so that an empty box outside costs nothing; boxes get no gradient.

    Args:
        features: a map [B, H, W, C], or a pyramid {level: map}, of which each box reads the level that suits it.
        boxes: in image pixels; padding (all zeros) is fine.
        size: S.
        stride: pixels from one cell of the map to the next; of a pyramid's level k they are 2**k.
        sampling_ratio: points along each side of a bin; 0: along each of its axes as many as it has cells, rounded up.
        aligned: True places pixel centres at half-integers, as everywhere in this library; False repeats the half-cell
            offset of early implementations, for weights trained with it.
        lowering: "sparse", "gather" or "crop_and_resize" (see ops/roi_align.py); "auto" takes what suits this machine.
            With a sampling ratio of 0 there is no crop_and_resize, and "gather" loops at run time, which XLA lacks.
    """
    if lowering == "auto":
        lowering = _suitable(sampling_ratio)
    boxes = tf.stop_gradient(boxes)
    maps, scales, choice, dtype = _maps(features, boxes, stride)
    flat_boxes, owner, choice = _flat(boxes, choice)
    if lowering == "crop_and_resize":
        if not sampling_ratio:
            raise ValueError('crop_and_resize samples all bins alike; with 0 the lowering is "sparse" or "gather"')
        crop = functools.partial(bilinear.crop, size=size, sampling_ratio=sampling_ratio, aligned=aligned)
        out = _each(crop, maps, scales, flat_boxes, owner, choice)
    elif lowering in ("sparse", "gather"):
        flat, *where = _flatten(maps, scales, owner, choice)
        if sampling_ratio:
            stencil = bilinear.stencil(flat_boxes, *where, size=size, sampling_ratio=sampling_ratio, aligned=aligned)
            out = getattr(bilinear, lowering)(flat, *stencil)
        else:
            stencil = roi_align_adaptive.stencil(flat_boxes, *where, size=size, aligned=aligned)
            out = getattr(roi_align_adaptive, lowering)(flat, stencil)
    else:
        raise ValueError(f'lowering must be "auto", "sparse", "gather" or "crop_and_resize", not "{lowering}".')
    return tf.cast(_by_image(out, boxes, size, size), dtype)


def roi_pool(features, boxes, *, size, stride=None):
    """Features [B, R, S, S, C] of boxes [B, R, 4]: the maximum of a map, or of a pyramid, in each of S² bins.

    Boxes are rounded to whole cells; a bin that holds none is 0. The gradient goes to the first maximum by row.
    """
    return _by_image(pyramid(features, boxes, sizes=(size,), stride=stride), boxes, size, size)


def pyramid(features, boxes, *, sizes, stride=None):
    """Features [B, R, bins, C] of boxes [B, R, 4]: spatial pyramid pooling (He et al. 2014, sections 2.2 and 4.1).

    A level of it is the maximum in each of S² bins, for each S of `sizes`, as RoIPool takes it; the bins of all levels
    follow one another, each level's by row. `features` and `stride` are as of `roi_align`.
    """
    boxes = tf.stop_gradient(boxes)
    maps, scales, choice, dtype = _maps(features, boxes, stride)
    flat_boxes, owner, choice = _flat(boxes, choice)
    if lowerings.target() == "tflite":
        out = roi_pool_tflite.pyramid(maps, scales, flat_boxes, choice, sizes=sizes)
    else:
        out = _each(functools.partial(maximum.pyramid, sizes=sizes), maps, scales, flat_boxes, owner, choice)
    return tf.cast(_by_image(out, boxes, sum(size**2 for size in sizes)), dtype)


def level_of(boxes, lowest, highest):
    """Pyramid level [...] int32 whose features suit boxes [..., 4]: level 4 at 224 pixels (FPN, equation 1).

    A side less than a millionth short of a level's reaches it, as in torchvision; detectron2 is stricter by that much.
    """
    side = tf.sqrt(tf.maximum(box_ops.area(boxes), 0))
    level = tf.floor(4 + tf.math.log(side / 224) / tf.math.log(2.0) + 1e-6)
    return tf.cast(tf.clip_by_value(level, lowest, highest), tf.int32)


def _maps(features, boxes, stride):
    """The maps in float32, their scales, which of them suits each of boxes [B, R, 4], [B, R], and their own dtype."""
    if not isinstance(features, dict):
        choice = tf.zeros(tf.shape(boxes)[:2], tf.int32)
        return [tf.cast(features, tf.float32)], [1 / (stride or 1.0)], choice, features.dtype
    levels = sorted(features)
    if levels != list(range(levels[0], levels[-1] + 1)):
        raise ValueError(f"A pyramid has every level between its lowest and its highest; got {levels}.")
    maps = [tf.cast(features[level], tf.float32) for level in levels]
    choice = level_of(boxes, levels[0], levels[-1]) - levels[0]
    return maps, [2.0**-level for level in levels], choice, features[levels[0]].dtype


def _suitable(sampling_ratio):
    """The lowering for the target: of a machine crop_and_resize on GPU, but its gradient there is not deterministic."""
    target = lowerings.target()
    if target != "machine":
        return "crop_and_resize" if target == "portable" and sampling_ratio else "gather"
    if not tf.config.list_logical_devices("GPU"):
        return "sparse"
    deterministic = tf.config.experimental.is_op_determinism_enabled()
    return "gather" if deterministic or not sampling_ratio else "crop_and_resize"


def _flat(boxes, choice):
    """Boxes [B, R, 4] of all images in one list [n, 4], the image of each [n] and its choice of map [n]."""
    batch, rois = (boxes.shape[i] or tf.shape(boxes)[i] for i in (0, 1))
    owner = tf.reshape(tf.broadcast_to(tf.range(batch)[:, None], [batch, rois]), [-1])
    return tf.reshape(boxes, [-1, 4]), owner, tf.reshape(choice, [-1])


def _by_image(out, boxes, *shape):
    """[n, ..., C] back to [B, R, *shape, C]."""
    batch, rois = (boxes.shape[i] or tf.shape(boxes)[i] for i in (0, 1))
    return tf.reshape(out, [batch, rois, *shape, out.shape[-1]])


def _flatten(maps, scales, owner, choice):
    """All cells of all maps [cells, C], and of each box: scale, height, width and first cell of its map, all [n]."""
    shapes = tf.stack([tf.shape(m)[:3] for m in maps])
    cells = tf.reduce_prod(shapes, axis=1)
    height, width = tf.gather(shapes[:, 1], choice), tf.gather(shapes[:, 2], choice)
    base = tf.gather(tf.cumsum(cells, exclusive=True), choice) + owner * height * width
    rows = [tf.reshape(m, [-1, m.shape[-1]]) for m in maps]
    flat = rows[0] if len(rows) == 1 else tf.concat(rows, axis=0)
    return flat, tf.gather(tf.constant(scales, tf.float32), choice), height, width, base


def _each(op, maps, scales, boxes, owner, choice):
    """The regions [n, S, S, C] that op(map, boxes, owner, scale) reads, map by map, in the order of the boxes."""
    if len(maps) == 1:
        return op(maps[0], boxes, owner, scales[0])
    order = [tf.where(choice == i)[:, 0] for i in range(len(maps))]
    regions = [
        op(m, tf.gather(boxes, i), tf.gather(owner, i), scale) for m, scale, i in zip(maps, scales, order, strict=True)
    ]
    return tf.gather(
        tf.concat(regions, axis=0), tf.cast(tf.math.invert_permutation(tf.concat(order, axis=0)), tf.int32)
    )
