"""Region, suppression and mask operations, beside torchvision's on the same arrays.

Regions: 1000 rois, 7 x 7 bins of 256 channels, RoIAlign with 2 x 2 samples, on P2 (stride 4), C4 (stride 16) or all of
P2 to P5 of an image of 800 x 1216.
"""

import numpy as np

from benchmarks import peers, sides
from benchmarks.sides import Case

TITLE = "1000 rois, 7x7x256, of an image of 800x1216"
HEIGHT, WIDTH, CHANNELS, ROIS = 800, 1216, 256, 1000
# Most that ours may take, as a share of torchvision's time.
BARS = {
    "roi_align_p2": 0.4,
    "roi_align_p2+backward": 0.15,
    "roi_align_pyramid": 0.4,
    "roi_align_pyramid+backward": 0.15,
    "roi_pool_c4": 1.0,
    "roi_pool_c4+backward": 1.0,
    "roi_pool_p2": 1.0,
    "roi_pool_p2+backward": 1.0,
    "rpn_nms": None,
    "class_nms": None,
    "paste": None,
    "paste_to_runs": None,
}


def cases(folder, options):
    """Yields each, in fresh processes."""
    for name, bar in BARS.items():
        path = f"{folder}/{name}.npz"
        np.savez(path, **arrays(name))
        yield Case(name, bar, (name, path))


def arrays(case, seed=0):
    """Inputs of a case: dict of NumPy arrays, boxes [n, 4] as y1, x1, y2, x2."""
    rng = np.random.default_rng(seed)
    if case.startswith("roi"):
        levels = {"p2": [2], "c4": [4], "pyramid": [2, 3, 4, 5]}[case.partition("+")[0].rpartition("_")[2]]
        maps = {f"map{k}": _normal(rng, 1, HEIGHT >> k, WIDTH >> k, CHANNELS) for k in levels}
        out = {**maps, "boxes": _boxes(rng, ROIS), "stride": np.float32(2 ** levels[0])}
        return out | ({"upstream": _normal(rng, ROIS, 7, 7, CHANNELS)} if case.endswith("+backward") else {})
    if case == "rpn_nms":  # 2000 proposals of each level, all 741 of the last
        boxes = _boxes(rng, 400)[rng.integers(0, 400, 8741)] + rng.normal(0, 6, (8741, 4)).astype(np.float32)
        groups = np.minimum(np.arange(8741) // 2000, 4)
        return {"boxes": boxes, "scores": rng.normal(size=8741).astype(np.float32), "groups": groups}
    if case == "class_nms":  # 1000 rois and 90 classes: a few classes of each roi are likely
        boxes = _boxes(rng, 50)[rng.integers(0, 50, 1000)][:, None]
        boxes = boxes + rng.normal(0, 6, (1000, 90, 4)).astype(np.float32)
        logits = rng.normal(0, 2.5, (1000, 90))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        groups = np.tile(np.arange(90), 1000)
        return {"boxes": boxes.reshape(-1, 4), "scores": scores.astype(np.float32).ravel(), "groups": groups}
    return {"masks": _smooth(rng, 100), "boxes": _boxes(rng, 100)}


def _normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def _smooth(rng, count):
    """Masks [count, 28, 28] of probabilities: blobs."""
    y, x = (np.arange(28) - 13.5) / 14, (np.arange(28) - 13.5)[:, None] / 14
    radius = rng.uniform(0.5, 1.1, (count, 1, 1)) + 0.2 * rng.normal(size=(count, 28, 1))
    return (1 / (1 + np.exp(8 * (np.hypot(y, x)[None] - radius)))).astype(np.float32)


def _boxes(rng, count):
    """Boxes [count, 4] of 16 to 600 pixels, cut to the image."""
    side = np.exp(rng.uniform(np.log(16), np.log(600), (count, 1)))
    half = side * np.exp(rng.uniform(-0.35, 0.35, (count, 1)) * [[1, -1]]) / 2
    centre = rng.uniform(0, 1, (count, 2)) * [HEIGHT, WIDTH]
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return np.clip(corners, 0, [HEIGHT, WIDTH, HEIGHT, WIDTH]).astype(np.float32)


def ours(case, path):
    """Our function to time."""
    from tfrecog.ops import masks, nms, pasting, region_features, rle

    tf = sides.tensorflow()
    stored = dict(np.load(path))
    inputs = {name: tf.constant(array) for name, array in stored.items()}
    maps = {int(name[3:]): m for name, m in inputs.items() if name.startswith("map")}

    def pool():
        rois = inputs["boxes"][None]
        if "pyramid" in case:  # torchvision's pyramid places samples without the half-cell correction.
            return region_features.roi_align(maps, rois, size=7, aligned=False)
        op = region_features.roi_align if "align" in case else region_features.roi_pool
        return op(*maps.values(), rois, size=7, stride=float(stored["stride"]))

    def pool_with_gradient():
        with tf.GradientTape() as tape:
            tape.watch(maps)
            out = pool()
        return out, tape.gradient(out, maps, inputs["upstream"][None])

    def rpn_nms():
        return nms.nms_by_group(inputs["boxes"], inputs["scores"], inputs["groups"], 0.7, 1000)

    def class_nms():
        scores = tf.where(inputs["scores"] > 0.05, inputs["scores"], -np.inf)
        return nms.nms_by_group(inputs["boxes"], scores, inputs["groups"], 0.5, 100)

    def paste():
        return masks.paste(inputs["masks"], inputs["boxes"], HEIGHT, WIDTH)

    def paste_to_runs():
        pasted = pasting.paste(stored["masks"], stored["boxes"], HEIGHT, WIDTH)
        return rle.all_to_coco(pasted, HEIGHT, WIDTH)

    named = {"rpn_nms": rpn_nms, "class_nms": class_nms, "paste": paste}
    graph = tf.function(named.get(case, pool_with_gradient if case.endswith("+backward") else pool))
    return {case: paste_to_runs if case == "paste_to_runs" else graph}


def peer(case, path):
    """torchvision's function to time."""
    from pycocotools import mask as coco_mask
    from torchvision.models.detection.roi_heads import paste_masks_in_image
    from torchvision.ops import MultiScaleRoIAlign, batched_nms, roi_align, roi_pool

    torch = peers.torch()
    inputs = {name: torch.from_numpy(array) for name, array in _in_torchs_order(np.load(path))}
    op, _, backward = case.partition("+")
    maps = [one.requires_grad_(bool(backward)) for name, one in inputs.items() if name.startswith("map")]
    boxes, scale = inputs["boxes"], 1 / float(inputs.get("stride", 1))
    pyramid = MultiScaleRoIAlign([str(i) for i in range(len(maps))], 7, 2)

    def pool():
        if "pyramid" in op:
            return pyramid({str(i): m for i, m in enumerate(maps)}, [boxes], [(HEIGHT, WIDTH)])
        return roi_align(maps[0], [boxes], 7, scale, 2, True) if "align" in op else roi_pool(maps[0], [boxes], 7, scale)

    def pool_with_gradient():
        for one in maps:
            one.grad = None
        pool().backward(inputs["upstream"])

    def rpn_nms():
        return batched_nms(boxes, inputs["scores"], inputs["groups"], 0.7)[:1000]

    def class_nms():
        keep = torch.where(inputs["scores"] > 0.05)[0]
        scores, groups = inputs["scores"][keep], inputs["groups"][keep]
        return keep[batched_nms(boxes[keep], scores, groups, 0.5)[:100]]

    def paste():
        return paste_masks_in_image(inputs["masks"][:, None], boxes, (HEIGHT, WIDTH))[:, 0] > 0.5

    def paste_to_runs():  # as torchvision's reference evaluation does
        return [coco_mask.encode(np.asfortranarray(one.numpy().astype(np.uint8))) for one in paste()]

    named = {"rpn_nms": rpn_nms, "class_nms": class_nms, "paste": paste, "paste_to_runs": paste_to_runs}
    return {case: named.get(case, pool_with_gradient if backward else pool)}


def _in_torchs_order(arrays):
    """Names and arrays: NCHW maps, and x before y in boxes."""
    for name, array in arrays.items():
        if name.startswith(("map", "upstream")):
            array = array.transpose(0, 3, 1, 2)
        elif name == "boxes":
            array = array[:, [1, 0, 3, 2]]
        yield name, np.array(array, order="C")
