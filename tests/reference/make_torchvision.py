"""Writes torchvision.npz: inputs and torchvision's answers, for tests on machines without torchvision.

    python tests/reference/make_torchvision.py [OUT.npz]

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored file). Needs
nothing else of this repository. Names: roi_align_ALIGNED_SAMPLES, roi_pool, ..., with _gradient for the gradient with
respect to the features. Everything is stored in this library's order: NHWC maps, boxes y1, x1, y2, x2.
"""

import pathlib
import sys

import numpy as np
import torch
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import MultiScaleRoIAlign, batched_nms, box_iou, nms, roi_align, roi_pool
from torchvision.ops.poolers import LevelMapper

SIZE, STRIDE = 3, 4
IMAGES, HEIGHT, WIDTH, CHANNELS, ROIS = 2, 17, 22, 3, 24
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def swap(boxes):
    """Boxes or deltas [..., 4] with x and y exchanged, either way."""
    return boxes[..., [1, 0, 3, 2]]


def boxes_in(rng, count, low, high):
    corners = np.sort(rng.uniform(low, high, (count, 2, 2)), axis=1)
    return corners.reshape(count, 4).astype(np.float32)


def regions(rng):
    """RoIAlign, RoIPool and RoIAlign of a pyramid, with gradients; boxes of every awkward kind."""
    # Quarters: equal values abound, which tries the rule that the first maximum gets the gradient.
    features = np.round(rng.normal(size=(IMAGES, HEIGHT, WIDTH, CHANNELS)) * 4).astype(np.float32) / 4
    boxes = boxes_in(rng, IMAGES * ROIS, -40, 120).reshape(IMAGES, ROIS, 4)
    boxes[0, :8] = [
        [0, 0, 0, 0],  # padding
        [10, 10, 10, 50],  # no height
        [-500, -500, -300, -300],  # outside
        [0, 0, 68, 88],  # the whole map
        [50, 50, 30, 30],  # upside down
        [-1000, -900, 1000, 950],  # far beyond it
        [0, 0, 4, 4],  # one cell
        [6, 10, 34, 62],  # rounds halves
    ]
    upstream = rng.normal(size=(IMAGES, ROIS, SIZE, SIZE, CHANNELS)).astype(np.float32)
    out = {"features": features, "boxes": boxes, "upstream": upstream}
    x = torch.tensor(features.transpose(0, 3, 1, 2)).requires_grad_()
    rois = [torch.tensor(swap(b)) for b in boxes]

    def record(name, pooled):
        x.grad = None
        pooled.backward(torch.tensor(upstream.reshape(-1, SIZE, SIZE, CHANNELS).transpose(0, 3, 1, 2)))
        out[name] = pooled.detach().numpy().transpose(0, 2, 3, 1).reshape(upstream.shape)
        out[f"{name}_gradient"] = x.grad.numpy().transpose(0, 2, 3, 1)

    for aligned in (0, 1):
        for samples in (1, 2, 4, 0):  # 0: as many as a bin has cells, which torchvision calls -1.
            record(f"roi_align_{aligned}_{samples}", roi_align(x, rois, SIZE, 1 / STRIDE, samples or -1, bool(aligned)))
    record("roi_pool", roi_pool(x, rois, SIZE, 1 / STRIDE))

    maps = {k: rng.normal(size=(1, 512 >> k, 384 >> k, 2)).astype(np.float32) for k in (4, 5, 6)}
    out["pyramid_boxes"] = boxes_in(rng, 30, 0, 500)
    pool = MultiScaleRoIAlign(["4", "5", "6"], SIZE, 2)
    with torch.no_grad():
        pooled = pool(
            {str(k): torch.tensor(m.transpose(0, 3, 1, 2)) for k, m in maps.items()},
            [torch.tensor(swap(out["pyramid_boxes"]))],
            [(512, 384)],
        )
    out["pyramid"] = pooled.numpy().transpose(0, 2, 3, 1)
    return out | {f"pyramid_map{k}": m for k, m in maps.items()}


def suppression(rng):
    boxes = boxes_in(rng, 20, 0, 60)[rng.integers(0, 20, 150)] + rng.normal(0, 2, (150, 4)).astype(np.float32)
    boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    boxes[5] = boxes[6]
    boxes[7] = [3, 3, 3, 3]
    scores = np.round(rng.uniform(size=150), 2).astype(np.float32)  # with ties
    groups = rng.integers(0, 7, 150)
    b, s, g = torch.tensor(swap(boxes)), torch.tensor(scores), torch.tensor(groups)
    # Stable, as the low index first: torchvision's batched_nms sorts its result by score alone.
    kept = batched_nms(b, s, g, 0.5).numpy()
    kept = kept[np.lexsort((kept, -scores[kept]))]
    return {
        "nms_boxes": boxes,
        "nms_scores": scores,
        "nms_groups": groups,
        "nms": nms(b, s, 0.5).numpy(),
        "batched_nms": kept,
    }


def coding(rng):
    anchors, boxes = boxes_in(rng, 40, 0, 300), boxes_in(rng, 40, 0, 300)
    deltas = rng.normal(0, 4, (40, 4)).astype(np.float32)
    deltas[:4, 2:] = [[30, 30], [4.2 * 5, 4.1 * 5], [-90, 0], [100, -3]]  # beyond the limit of growth, and about it
    coder = BoxCoder(WEIGHTS)
    encoded = coder.encode_single(torch.tensor(swap(boxes)), torch.tensor(swap(anchors)))
    decoded = coder.decode_single(torch.tensor(swap(deltas)), torch.tensor(swap(anchors)))
    return {
        "coding_anchors": anchors,
        "coding_boxes": boxes,
        "coding_deltas": deltas,
        "encoded": swap(encoded.numpy()),
        "decoded": swap(decoded.numpy()),
        "iou": box_iou(torch.tensor(swap(boxes)), torch.tensor(swap(anchors))).numpy(),
    }


def anchors():
    generator = AnchorGenerator(((32,), (64, 90)), ((0.5, 1.0, 2.0), (0.5, 1.0, 2.0)))
    images = ImageList(torch.zeros(1, 3, 96, 128), [(96, 128)])
    made = generator(images, [torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 3, 4)])[0]
    return {"anchors": swap(made.numpy())}


def levels(rng):
    boxes = boxes_in(rng, 60, 0, 900)
    boxes[:6] = [[0, 0, s, s] for s in (56, 112, 224, 448, 223.9, 0)]
    return {"level_boxes": boxes, "levels": LevelMapper(2, 5)([torch.tensor(swap(boxes))]).numpy() + 2}


def matching(rng):
    iou = np.round(rng.uniform(0, 0.85, (5, 80)), 2).astype(np.float32)  # with ties
    iou[3] *= 0.3
    out = {"match_iou": iou}
    for low_quality in (0, 1):
        out[f"match_{low_quality}"] = Matcher(0.7, 0.3, bool(low_quality))(torch.tensor(iou)).numpy()
    return out


def masks(rng):
    """Pasted masks, as sums over rows and columns and the pixels that are nearly at the threshold."""
    probabilities = rng.uniform(size=(10, 7, 7)).astype(np.float32)
    boxes = boxes_in(rng, 10, -10, 60)
    boxes[:, :2], boxes[:, 2:] = np.minimum(boxes[:, :2], 38), np.maximum(boxes[:, 2:], 1)  # torchvision: not outside
    boxes[0], boxes[1], boxes[2] = [10, 10, 10, 10], [-30, -30, 1, 1], [-5, -5, 45, 65]
    pasted = paste_masks_in_image(torch.tensor(probabilities)[:, None], torch.tensor(swap(boxes)), (40, 60))[:, 0]
    out = {"paste_masks": probabilities, "paste_boxes": boxes}
    out |= {"pasted": np.packbits(pasted > 0.5), "close": np.packbits(abs(pasted - 0.5) < 1e-5)}
    for threshold in (0.5, 0.2):
        read = read_at_centres(torch.tensor(probabilities), torch.tensor(boxes), 40, 60)
        out[f"centres_{threshold}"] = np.packbits(read >= threshold)
        out[f"centres_close_{threshold}"] = np.packbits(abs(read - threshold) < 1e-5)
    return out


def read_at_centres(probabilities, boxes, height, width):
    """detectron2's way into the image: pixel centres in the frame of the box, -1 to 1, are read by grid_sample."""
    start, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    y = 2 * (torch.arange(height) + 0.5 - start[:, :1]) / extent[:, :1] - 1
    x = 2 * (torch.arange(width) + 0.5 - start[:, 1:]) / extent[:, 1:] - 1
    grid = torch.stack([x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)], -1)
    read = torch.nn.functional.grid_sample(probabilities[:, None], grid, align_corners=False)[:, 0]
    return torch.where((extent > 0).all(1)[:, None, None], read, 0)


def make(path, seed=0):
    rng = np.random.default_rng(seed)
    parts = [regions(rng), suppression(rng), coding(rng), anchors(), levels(rng), matching(rng), masks(rng)]
    np.savez_compressed(path, **{name: array for part in parts for name, array in part.items()})


if __name__ == "__main__":
    make(*(sys.argv[1:2] or [pathlib.Path(__file__).with_name("torchvision.npz")]), *map(int, sys.argv[2:]))
