"""The peer's side of ops.py: torchvision's operations. Run by PEER_PYTHON: python peer_ops.py CASE ARRAYS.npz"""

import sys

import numpy as np
import torch
from sides import serve
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import MultiScaleRoIAlign, batched_nms, roi_align, roi_pool

torch.set_num_threads(2)


def tensors(arrays):
    """The arrays in torchvision's order: NCHW maps and x before y in boxes."""
    out = {}
    for name, array in arrays.items():
        if name.startswith(("map", "upstream")):
            array = np.ascontiguousarray(array.transpose(0, 3, 1, 2))
        elif name == "boxes":
            array = np.ascontiguousarray(array[:, [1, 0, 3, 2]])
        out[name] = torch.from_numpy(np.array(array))
    return out


def regions(pool, arrays, backward):
    """Forward, or forward and backward, of pool(maps, boxes)."""
    maps = [t.requires_grad_(backward) for name, t in arrays.items() if name.startswith("map")]

    def run():
        out = pool(maps, arrays["boxes"])
        if backward:
            for m in maps:
                m.grad = None
            out.backward(arrays["upstream"])

    return run


def pyramid(maps, boxes):
    pool = MultiScaleRoIAlign([str(i) for i in range(len(maps))], 7, 2)
    return pool({str(i): m for i, m in enumerate(maps)}, [boxes], [(800, 1216)])


def rpn_nms(arrays):
    return lambda: batched_nms(arrays["boxes"], arrays["scores"], arrays["groups"], 0.7)[:1000]


def class_nms(arrays):
    def run():
        keep = torch.where(arrays["scores"] > 0.05)[0]
        boxes, scores, groups = (arrays[name][keep] for name in ("boxes", "scores", "groups"))
        return keep[batched_nms(boxes, scores, groups, 0.5)[:100]]

    return run


def paste(arrays):
    return lambda: paste_masks_in_image(arrays["masks"][:, None], arrays["boxes"], (800, 1216))[:, 0] > 0.5


def paste_to_runs(arrays):
    """Paste, then encode with pycocotools, as torchvision's reference evaluation does."""
    from pycocotools import mask

    pasted = paste(arrays)
    return lambda: [mask.encode(np.asfortranarray(m.numpy().astype(np.uint8))) for m in pasted()]


def case(name, arrays):
    """The function to time."""
    op, _, backward = name.partition("+")
    if op.startswith("roi_align_pyramid"):
        return regions(pyramid, arrays, bool(backward))
    stride = float(arrays["stride"]) if "stride" in arrays else 1.0
    if op.startswith("roi_align"):
        return regions(lambda maps, boxes: roi_align(maps[0], [boxes], 7, 1 / stride, 2, True), arrays, bool(backward))
    if op.startswith("roi_pool"):
        return regions(lambda maps, boxes: roi_pool(maps[0], [boxes], 7, 1 / stride), arrays, bool(backward))
    return {"rpn_nms": rpn_nms, "class_nms": class_nms, "paste": paste, "paste_to_runs": paste_to_runs}[op](arrays)


if __name__ == "__main__":
    with np.load(sys.argv[2]) as stored:
        serve({sys.argv[1]: case(sys.argv[1], tensors(stored))})
