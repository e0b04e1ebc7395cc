"""Our side of ops.py: python ours_ops.py CASE ARRAYS.npz"""

import sys

import numpy as np
import tensorflow as tf
from sides import serve

from tfrecog.metrics import rle
from tfrecog.ops import masks, nms, region_features

SIZE = 800, 1216


def ours(case, arrays):
    """The function to time."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    if case == "paste_to_runs":
        return lambda: rle.paste(arrays["masks"], arrays["boxes"], *SIZE)
    inputs = {name: tf.constant(array) for name, array in arrays.items()}
    boxes = inputs["boxes"]
    maps = {int(name[3:]): m for name, m in inputs.items() if name.startswith("map")}

    def pool():
        if "pyramid" in case:  # torchvision's pyramid places samples without the half-cell correction.
            return region_features.multilevel(maps, boxes[None], size=7, samples=2, aligned=False)
        op = region_features.roi_align if "align" in case else region_features.roi_pool
        return op(*maps.values(), boxes[None], size=7, stride=float(arrays["stride"]))

    def pool_with_gradient():
        with tf.GradientTape() as tape:
            tape.watch(maps)
            out = pool()
        return out, tape.gradient(out, maps, inputs["upstream"][None])

    def rpn_nms():
        return nms.nms_by_group(boxes, inputs["scores"], inputs["groups"], 0.7, 1000)

    def class_nms():
        scores = tf.where(inputs["scores"] > 0.05, inputs["scores"], -np.inf)
        return nms.nms_by_group(boxes, scores, inputs["groups"], 0.5, 100)

    def paste():
        return masks.paste(inputs["masks"], boxes, *SIZE)

    named = {"rpn_nms": rpn_nms, "class_nms": class_nms, "paste": paste}
    return tf.function(named.get(case, pool_with_gradient if case.endswith("+backward") else pool))


if __name__ == "__main__":
    with np.load(sys.argv[2]) as stored:
        serve({sys.argv[1]: ours(sys.argv[1], dict(stored))})
