"""A detectron2 detector's tensors, and a picture, from rules that need NumPy alone, so that both sides can have them.

The names and shapes are those that detectron2's modules give them. The values make a network that is decided: see
`seeded_weights.py`.
"""

import pickle
import zlib

import numpy as np

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_SMALL = 0.05  # of the kernels before a batch norm, and of its statistics
# Factors of the kernels of last layers.
_SCALES = {
    "stem.conv1.weight": 1 / 60,  # Pixels are not divided by their deviation.
    "objectness_logits": 2.0,
    "anchor_deltas": 0.3,
    "cls_score": 0.4,
    "bbox_pred": 0.5,
    "mask_head.predictor": 0.5,
    "score_lowres": 3.0,
}


def shapes(depth, classes, masks=False, joints=0):
    """{name: shape} of a ResNet-FPN detector: kernels are [out, in, h, w], those of deconvolutions [in, out, h, w]."""
    made = {}

    def conv(name, out, inputs, size, norm=False):
        made[f"{name}.weight"] = (out, inputs, size, size)
        if norm:
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                made[f"{name}.norm.{leaf}"] = (out,)
        else:
            made[f"{name}.bias"] = (out,)

    def dense(name, out, inputs):
        made[f"{name}.weight"], made[f"{name}.bias"] = (out, inputs), (out,)

    body, inputs = "backbone.bottom_up", 64
    conv(f"{body}.stem.conv1", 64, 3, 7, norm=True)
    for stage, blocks in enumerate(BLOCKS[depth], start=2):
        narrow, wide = 64 * 2 ** (stage - 2), 256 * 2 ** (stage - 2)
        for block in range(blocks):
            name = f"{body}.res{stage}.{block}"
            if block == 0:
                conv(f"{name}.shortcut", wide, inputs, 1, norm=True)
            conv(f"{name}.conv1", narrow, inputs, 1, norm=True)
            conv(f"{name}.conv2", narrow, narrow, 3, norm=True)
            conv(f"{name}.conv3", wide, narrow, 1, norm=True)
            inputs = wide
        conv(f"backbone.fpn_lateral{stage}", 256, wide, 1)
        conv(f"backbone.fpn_output{stage}", 256, 256, 3)
    rpn = "proposal_generator.rpn_head"
    conv(f"{rpn}.conv", 256, 256, 3)
    conv(f"{rpn}.objectness_logits", 3, 256, 1)
    conv(f"{rpn}.anchor_deltas", 12, 256, 1)
    dense("roi_heads.box_head.fc1", 1024, 256 * 7 * 7)
    dense("roi_heads.box_head.fc2", 1024, 1024)
    dense("roi_heads.box_predictor.cls_score", classes + 1, 1024)
    dense("roi_heads.box_predictor.bbox_pred", 4 * classes, 1024)
    if masks:
        for i in range(1, 5):
            conv(f"roi_heads.mask_head.mask_fcn{i}", 256, 256, 3)
        conv("roi_heads.mask_head.deconv", 256, 256, 2)
        conv("roi_heads.mask_head.predictor", classes, 256, 1)
    if joints:
        for i in range(1, 9):
            conv(f"roi_heads.keypoint_head.conv_fcn{i}", 512, 256 if i == 1 else 512, 3)
        conv("roi_heads.keypoint_head.score_lowres", joints, 512, 4)
        made["roi_heads.keypoint_head.score_lowres.weight"] = (512, joints, 4, 4)
    return made


def state(shapes):
    """State dict {name: float32 array} for {name: shape}."""
    return {name: _tensor(name, shape, f"{name[:-6]}norm.weight" in shapes) for name, shape in shapes.items()}


def leftovers():
    """What old files of the zoo hold beside the weights."""
    anchors = {f"proposal_generator.anchor_generator.cell_anchors.{i}": np.zeros([3, 4], np.float32) for i in range(5)}
    mean = np.float32([103.53, 116.28, 123.675]).reshape(3, 1, 1)
    return {"pixel_mean": mean, "pixel_std": np.ones([3, 1, 1], np.float32), **anchors}


def write(path, state):
    """Writes a file as detectron2's model zoo has them."""
    with open(path, "wb") as file:
        pickle.dump({"model": state, "__author__": "Detectron2 Model Zoo"}, file, protocol=3)


def image(height=300, width=517):
    """[height, width, 3] uint8, RGB: squares of colour of many sizes on top of each other, as edges are in photos."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3))
    for side in (1, 3, 9, 25, 60, 150):
        rows, columns = -(-height // side), -(-width // side)
        colours = rng.uniform(-1, 1, (rows, columns, 1)) + rng.uniform(-0.5, 0.5, (rows, columns, 3))
        total += np.log1p(side) * colours.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    return (128 + 30 * total).round().clip(0, 255).astype(np.uint8)


def _tensor(name, shape, before_norm):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = _SMALL**2 * rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = _SMALL * rng.normal(0, 0.1, shape)
    elif name.endswith("bias"):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:  # The gain of batch norm; small at the end of a block, so that sums do not explode.
        value = np.full(shape, 0.2 if ".conv3." in name else 1.0)
    else:
        transposed = "deconv" in name or "score_lowres" in name
        inputs = shape[0] if transposed else int(np.prod(shape[1:]))
        value = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs))
        if shape[1] > 3 and not transposed:  # What all places have in common drops out.
            value -= value.mean(axis=tuple(range(1, len(shape))), keepdims=True)
        value *= next((scale for part, scale in _SCALES.items() if part in name), 1.0) * (_SMALL if before_norm else 1)
    return value.astype(np.float32)
