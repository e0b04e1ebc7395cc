"""Writes detectron2.npz: what Mask and Keypoint R-CNN see by detectron2's rules, read from its source, in NumPy.

    python tests/reference/make_detectron2.py [OUT.npz]

detectron2 itself is not run: this is a second program, from the same rules and in another way, whose every step can be
compared with detectron2's source (commit 02b5c4e; the files are named below). It shares nothing with the library but
the seeded weights. Boxes are x first, maps [C, H, W], numbers float64, as nothing here is for speed. Needs NumPy and
Pillow; takes a few minutes.
"""

import pathlib
import sys

import numpy as np
import seeded_detectron2 as seeded
from PIL import Image

SHORT, LONG = 256, 416
MEAN = np.array([103.53, 116.28, 123.675])  # of BGR (config/defaults.py)
CLASSES, JOINTS = 80, 17
# A score that leaves a few tens of detections.
CASES = {
    "mask": {"depth": 50, "classes": CLASSES, "masks": True},
    "keypoint": {"depth": 50, "classes": 1, "joints": JOINTS},
}
MIN_SCORE = {"mask": 0.5, "keypoint": 0.98}
PASTED = 6  # detections whose masks in the image are stored


def preprocess(picture):
    """BGR, resized by Pillow, less the mean, zeros up to multiples of 32 (transforms/, meta_arch/rcnn.py)."""
    height, width = picture.shape[:2]
    scale = SHORT / min(height, width)
    new = (SHORT, scale * width) if height < width else (scale * height, SHORT)
    if max(new) > LONG:
        scale = LONG / max(new)
        new = new[0] * scale, new[1] * scale
    new = int(new[0] + 0.5), int(new[1] + 0.5)
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    resized = np.asarray(Image.fromarray(bgr).resize(new[::-1], Image.Resampling.BILINEAR))
    x = (resized.astype(float) - MEAN).transpose(2, 0, 1)
    return np.pad(x, [(0, 0), (0, -new[0] % 32), (0, -new[1] % 32)]), new


class Network:
    """The layers of one state dict."""

    def __init__(self, state):
        self.state = {name: value.astype(float) for name, value in state.items()}

    def conv(self, x, name, stride=1):
        """A convolution of [n, C, H, W] that keeps the size but for its stride, with its bias or frozen batch norm."""
        kernel = self.state[f"{name}.weight"]
        out, _, size, _ = kernel.shape
        x = np.pad(x, [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]
        n, channels, height, width = windows.shape[:4]
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * size * size)
        y = (columns @ kernel.reshape(out, -1).T).reshape(n, height, width, out).transpose(0, 3, 1, 2)
        if f"{name}.bias" in self.state:
            return y + self.state[f"{name}.bias"][:, None, None]
        gain, shift, mean, variance = (
            self.state[f"{name}.norm.{leaf}"][:, None, None]
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * gain + shift  # layers/batch_norm.py

    def dense(self, x, name):
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]


def relu(x):
    return np.maximum(x, 0)


def features(net, x, depth):
    """{level: [256, h, w]}, levels 2 to 6 (backbone/resnet.py, backbone/fpn.py)."""
    x = relu(net.conv(x[None], "backbone.bottom_up.stem.conv1", 2))
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max(axis=(4, 5))
    maps = {}
    for stage, blocks in enumerate(seeded.BLOCKS[depth], start=2):
        for block in range(blocks):
            name = f"backbone.bottom_up.res{stage}.{block}"
            stride = 2 if block == 0 and stage > 2 else 1
            y = relu(net.conv(x, f"{name}.conv1", stride))  # STRIDE_IN_1X1
            y = net.conv(relu(net.conv(y, f"{name}.conv2")), f"{name}.conv3")
            x = relu(y + (net.conv(x, f"{name}.shortcut", stride) if block == 0 else x))
        maps[stage] = x
    pyramid, top = {}, 0
    for level in (5, 4, 3, 2):
        twice = 0 if level == 5 else top.repeat(2, axis=2).repeat(2, axis=3)
        top = net.conv(maps[level], f"backbone.fpn_lateral{level}") + twice
        pyramid[level] = net.conv(top, f"backbone.fpn_output{level}")[0]
    pyramid[6] = pyramid[5][:, ::2, ::2]
    return pyramid


def apply_deltas(deltas, boxes, weights):
    """Boxes [n, k, 4] of deltas [n, k, 4] (dx, dy, dw, dh) from boxes [n, 4] (box_regression.py)."""
    size = (boxes[:, 2:] - boxes[:, :2])[:, None]
    centre = boxes[:, None, :2] + 0.5 * size
    deltas = deltas / np.array(weights)
    centre = centre + deltas[..., :2] * size
    half = 0.5 * size * np.exp(np.minimum(deltas[..., 2:], np.log(1000 / 16)))
    return np.concatenate([centre - half, centre + half], axis=-1)


def clip(boxes, size):
    return np.clip(boxes, 0, [size[1], size[0], size[1], size[0]])


def nms(boxes, scores, threshold):
    """Kept indices, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        overlap = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.prod(np.maximum(overlap, 0), axis=1)
        union = area[best] + area[order] - shared
        order = order[~(shared > threshold * union)]  # Two empty boxes leave each other alone.
    return np.array(kept, int)


def nms_of_each(boxes, scores, groups, threshold):
    """Kept indices of all groups, each thinned by itself, best first."""
    kept = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    kept = np.concatenate([i[nms(boxes[i], scores[i], threshold)] for i in kept])
    return kept[np.argsort(-scores[kept], kind="stable")]


def proposals(net, pyramid, size):
    """Boxes [n, 4] (proposal_generator/, anchor_generator.py)."""
    found = []
    for level, side in zip(range(2, 7), (32, 64, 128, 256, 512), strict=True):
        x = relu(net.conv(pyramid[level][None], "proposal_generator.rpn_head.conv"))
        logits = net.conv(x, "proposal_generator.rpn_head.objectness_logits")[0]
        deltas = net.conv(x, "proposal_generator.rpn_head.anchor_deltas")[0]
        _, height, width = logits.shape
        anchors = np.zeros([height, width, 3, 4])
        for a, ratio in enumerate((0.5, 1.0, 2.0)):
            w = np.sqrt(side**2 / ratio)
            anchors[:, :, a] = np.array([-w, -ratio * w, w, ratio * w]) / 2
        stride = 2**level  # OFFSET 0: the first anchors lie about the corner of the image.
        anchors[..., 0::2] += stride * np.arange(width)[None, :, None, None]
        anchors[..., 1::2] += stride * np.arange(height)[:, None, None, None]
        logits = logits.transpose(1, 2, 0).ravel()
        deltas = deltas.reshape(3, 4, height, width).transpose(2, 3, 0, 1).reshape(-1, 1, 4)
        best = np.argsort(-logits, kind="stable")[:1000]  # PRE_NMS_TOPK_TEST
        boxes = clip(apply_deltas(deltas[best], anchors.reshape(-1, 4)[best], (1, 1, 1, 1))[:, 0], size)
        whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores = boxes[whole], logits[best][whole]
        kept = nms(boxes, scores, 0.7)
        found.append((boxes[kept], scores[kept]))
    boxes, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return boxes[np.argsort(-scores, kind="stable")[:1000]]  # POST_NMS_TOPK_TEST


def pool(pyramid, boxes, size):
    """RoIAlign [n, 256, S, S] of each box's level (poolers.py; ROIAlignV2, POOLER_SAMPLING_RATIO 0)."""
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    levels = np.clip(np.floor(4 + np.log2(sides / 224 + 1e-8)), 2, 5).astype(int)
    print("rois of levels 2 to 5:", np.bincount(levels, minlength=6)[2:])
    return np.stack([roi_align(pyramid[k], box / 2**k, size) for k, box in zip(levels, boxes, strict=True)])


def roi_align(x, box, size):
    """[C, S, S] of a map [C, H, W] in a box in its cells: the mean of ceil(h) x ceil(w) samples of bins of h x w."""
    start, bin_size = box[:2] - 0.5, (box[2:] - box[:2]) / size
    columns, rows = (
        start[i] + (np.arange(size * n) + 0.5) * bin_size[i] / n for i, n in enumerate(np.ceil(bin_size).astype(int))
    )
    columns, rows = axis(columns, x.shape[2]), axis(rows, x.shape[1])
    values = sum(
        x[:, row][:, :, column] * (row_weight[:, None] * column_weight)
        for row, row_weight in rows
        for column, column_weight in columns
    )
    return values.reshape(x.shape[0], size, -1, size, values.shape[2] // size).mean(axis=(2, 4))


def axis(at, length):
    """The two cells that a sample reads, and their weights; none outside [-1, length]."""
    inside = (at >= -1) & (at <= length)
    at = np.clip(at, 0, length - 1)
    low = at.astype(int)
    share = at - low
    return (low, (1 - share) * inside), (np.minimum(low + 1, length - 1), share * inside)


def detect(net, pyramid, rois, size, classes, min_score):
    """Boxes [n, 4], classes from 0 [n] and scores [n] (roi_heads/box_head.py, fast_rcnn.py)."""
    pooled = pool(pyramid, rois, 7).reshape(len(rois), -1)
    x = relu(net.dense(relu(net.dense(pooled, "roi_heads.box_head.fc1")), "roi_heads.box_head.fc2"))
    logits = net.dense(x, "roi_heads.box_predictor.cls_score")
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (scores / scores.sum(axis=1, keepdims=True))[:, :-1]  # The last is the background.
    deltas = net.dense(x, "roi_heads.box_predictor.bbox_pred").reshape(len(rois), classes, 4)
    boxes = clip(apply_deltas(deltas, rois, (10, 10, 5, 5)), size)
    sure = scores > min_score
    boxes, scores, labels = boxes[sure], scores[sure], np.nonzero(sure)[1]
    kept = nms_of_each(boxes, scores, labels, 0.5)[:100]
    return boxes[kept], labels[kept], scores[kept]


def deconvolve(x, kernel, bias, pad):
    """A transposed convolution of stride 2: [n, C, H, W] with [C, out, k, k] to [n, out, 2 H, 2 W]."""
    n, _, height, width = x.shape
    size = kernel.shape[2]
    out = np.zeros([n, kernel.shape[1], 2 * height + size - 2, 2 * width + size - 2])
    for i, j in np.ndindex(size, size):
        part = np.tensordot(x, kernel[:, :, i, j], (1, 0)).transpose(0, 3, 1, 2)
        out[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += part
    return out[:, :, pad : pad + 2 * height, pad : pad + 2 * width] + bias[:, None, None]


def masks_of(net, pyramid, boxes, labels):
    """Probabilities [n, 28, 28] (roi_heads/mask_head.py)."""
    x = pool(pyramid, boxes, 14)
    for i in range(1, 5):
        x = relu(net.conv(x, f"roi_heads.mask_head.mask_fcn{i}"))
    name = "roi_heads.mask_head.deconv"
    x = relu(deconvolve(x, net.state[f"{name}.weight"], net.state[f"{name}.bias"], 0))
    x = net.conv(x, "roi_heads.mask_head.predictor")
    return 1 / (1 + np.exp(-x[np.arange(len(labels)), labels]))


def keypoints_of(net, pyramid, boxes):
    """Keypoints [n, J, 3]: x, y and the logit of the peak (roi_heads/keypoint_head.py, structures/keypoints.py)."""
    x = pool(pyramid, boxes, 14)
    for i in range(1, 9):
        x = relu(net.conv(x, f"roi_heads.keypoint_head.conv_fcn{i}"))
    name = "roi_heads.keypoint_head.score_lowres"
    x = deconvolve(x, net.state[f"{name}.weight"], net.state[f"{name}.bias"], 1)
    stretch = resizing(2 * x.shape[2], x.shape[2], linear, 1)
    x = stretch @ x @ stretch.T
    found = np.zeros([len(boxes), x.shape[1], 3])
    for one, box, maps in zip(found, boxes, x, strict=True):
        width, height = np.maximum(box[2:] - box[:2], 1)
        rows, columns = int(np.ceil(height)), int(np.ceil(width))
        large = resizing(rows, maps.shape[1], cubic, 2) @ maps @ resizing(columns, maps.shape[2], cubic, 2).T
        for joint, values in zip(one, large, strict=True):
            y, x_ = np.unravel_index(values.argmax(), values.shape)
            joint[:] = (
                (x_ + 0.5) * width / columns + box[0],
                (y + 0.5) * height / rows + box[1],
                values[y, x_],
            )
    return found


def resizing(length, cells, weight, reach):
    """Matrix [length, cells] of a resize without align_corners, the border cells held outside."""
    matrix = np.zeros([length, cells])
    for i in range(length):
        at = (i + 0.5) * cells / length - 0.5
        for cell in range(int(np.floor(at)) - reach + 1, int(np.floor(at)) + reach + 1):
            matrix[i, min(max(cell, 0), cells - 1)] += weight(abs(at - cell))
    return matrix


def linear(d):
    return 1 - d


def cubic(d, a=-0.75):
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


def paste(mask, box, height, width):
    """Mask [H, W] bool in the image: half or more where a pixel's centre reads it (layers/mask_ops.py)."""
    on = np.zeros([height, width], bool)
    x, y = (
        (np.arange(n) + 0.5 - box[i]) / (box[i + 2] - box[i]) * len(mask) - 0.5 for i, n in enumerate((width, height))
    )
    padded = np.pad(mask, 1)  # Zeros about it.
    for i, j in np.argwhere((abs(y[:, None] - 13.5) < 14.5) & (abs(x - 13.5) < 14.5)):
        top, left = int(np.floor(y[i])), int(np.floor(x[j]))
        down, across = y[i] - top, x[j] - left
        cells = padded[top + 1 : top + 3, left + 1 : left + 3]
        on[i, j] = np.array([1 - down, down]) @ cells @ np.array([1 - across, across]) >= 0.5
    return on


def see(case):
    """What is stored of a case, by name."""
    facts = CASES[case]
    net = Network(seeded.state(seeded.shapes(**facts)))
    picture = seeded.image()
    height, width = picture.shape[:2]
    x, size = preprocess(picture)
    pyramid = features(net, x, facts["depth"])
    rois = proposals(net, pyramid, size)
    boxes, labels, scores = detect(net, pyramid, rois, size, facts["classes"], MIN_SCORE[case])
    scale = np.array([width / size[1], height / size[0]])
    # postprocessing.py: to the original image, cut to it, and no empty box.
    moved = clip(boxes * np.tile(scale, 2), (height, width))
    whole = (moved[:, 2:] > moved[:, :2]).all(axis=1)
    boxes, moved, labels, scores = boxes[whole], moved[whole], labels[whole], scores[whole]
    gaps = np.sort(np.diff(np.sort(scores)))
    print(f"{case}: {len(rois)} rois, {len(scores)} detections, scores {scores.min():.4f} to {scores.max():.4f}")
    print(f"smallest gaps of scores {gaps[:3]}, areas {np.prod(moved[:, 2:] - moved[:, :2], axis=1).round()}")
    out = {"size": np.array(size), "rois": rois[:50], "boxes": moved, "labels": labels, "scores": scores}
    if facts.get("masks"):
        masks = masks_of(net, pyramid, boxes, labels)
        pasted = [paste(m, b, height, width) for m, b in zip(masks[:PASTED], moved, strict=False)]
        print(f"mask probabilities {np.percentile(masks, [0, 10, 50, 90, 100]).round(3)}")
        out |= {"masks": masks.astype(np.float32)[:, ::3, ::3], "pasted": np.packbits(pasted, axis=None)}
    if "joints" in facts:
        keypoints = keypoints_of(net, pyramid, boxes)
        keypoints[..., :2] *= scale
        out["keypoints"] = keypoints
    return {f"{case}_{name}": np.asarray(value) for name, value in out.items()}


if __name__ == "__main__":
    path = sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).with_name("detectron2.npz")
    np.savez_compressed(path, **{name: value for case in CASES for name, value in see(case).items()})
