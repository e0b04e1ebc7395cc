"""The trainings that are compared step for step: networks, rules and seeded weights, for both sides: NumPy alone.

Weights follow from the names and shapes of torchvision's tensors. They are those of a training's start: activations
neither grow nor fade from layer to layer, and the statistics of batch norm are no identity.
"""

import dataclasses
import json
import zlib

import numpy as np

STEPS = 20
EARLY = 4  # steps: before rounding grows through batch norm
_PROJECTIONS = 8  # of a tensor that is compared without being there


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and the rule that trains it; sizes as in torchvision by default."""

    name: str
    network: str  # classification, fcn, faster_rcnn, mask_rcnn or keypoint_rcnn, on a ResNet-50
    norm: str  # of the backbone: "batch" or "frozen"
    classes: int
    frozen_stages: int = 0  # of the stem and res2 to res5
    width: int = 64  # channels of the first stage
    channels: int = 256  # of the pyramid and of the convolutions of masks
    units: int = 1024  # of the fully connected layers
    keypoint_channels: int = 512
    joints: int = 17
    anchors: int = 2**14  # at least as many as an image has
    rois: int = 64  # at least as many as an image has, its objects among them
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    rate: float = 0.02
    momentum: float = 0.9
    decay: float = 1e-4
    warmup: int = 10  # steps
    factor: float = 1e-3  # of the rate, at the start of the warmup
    seed: int = 2  # of made pictures: one with which rounding decides no ReLU in the first step
    double: bool = False  # torchvision computes in double precision

    @property
    def is_detector(self):
        return self.network.endswith("rcnn")


_NARROW = {"width": 8, "channels": 16, "units": 32, "keypoint_channels": 16, "joints": 5, "rois": 32}
_NARROW["anchor_sizes"] = (8, 16, 32, 64, 128)
# Batch norm on few cells, as of pictures of the size of a thumbnail, makes much of rounding. With a low rate 20 steps
# stay together.
_TRAINED = {"norm": "batch", "rate": 5e-5}
_FROZEN = {"norm": "frozen", "rate": 3e-4, "frozen_stages": 2}


def _cases(detectors, dense, classes):
    """A case of each network; of detectors two, with frozen and with trained batch norm."""
    images, pixels, objects = classes
    found = [
        Case("classification", "classification", classes=images, **_TRAINED, **dense),
        Case("fcn", "fcn", classes=pixels, **_TRAINED, **dense),
    ]
    for network in ("faster_rcnn", "mask_rcnn", "keypoint_rcnn"):
        if network == "keypoint_rcnn":
            objects, detectors = 1, detectors | {"rois": detectors["rois"] // 2 + 8}  # Its branch is dear.
        seed = 5 if network == "keypoint_rcnn" else 4
        for ending, norm in (("frozen", _FROZEN), ("trained", _TRAINED | {"seed": seed})):
            if network == "keypoint_rcnn":  # The softmax of thousands of cells has long gradients.
                norm = norm | {"rate": norm["rate"] / 5}
            found.append(Case(f"{network}_{ending}", network, classes=objects, **norm, **detectors))
    return {case.name: case for case in found}


# So much decay that it shows where it is missing.
SMALL = _cases(_NARROW | {"decay": 0.02}, {"width": 8, "decay": 0.02}, (10, 6, 5))
# Of classes as ImageNet's, those of COCO's pixels and those of its objects, by its numbers.
LARGE = _cases({"rois": 44}, {}, (1000, 200, 90))
# The same on narrow networks, for a machine without much time.
NARROW = _cases(_NARROW | {"rois": 44, "joints": 17}, {"width": 8}, (1000, 200, 90))


def to_json(case):
    return json.dumps(dataclasses.asdict(case))


def from_json(text):
    values = json.loads(text)
    return Case(**values | {"anchor_sizes": tuple(values["anchor_sizes"])})


def state(shapes):
    """State dict {name: float32 array} for {name: shape}."""
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items() if not name.endswith("tracked")}


# Standard deviation of the outputs of last layers: of a new detector, whose losses are small but not flat.
_LAST = {
    "cls_logits": 0.3, "rpn.head.bbox_pred": 0.1, "cls_score": 0.5, "box_predictor.bbox_pred": 0.3,
    "mask_fcn_logits": 0.5, "kps_score_lowres": 0.5, "classifier.4": 0.5, "fc.weight": 0.5,
}  # fmt: skip


def _tensor(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "bias")):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:  # A residual block's last gain is small, so that sums over sixteen of them do not explode.
        value = rng.uniform(0.2, 0.4, shape) if "bn3" in name else rng.uniform(0.8, 1.2, shape)
    else:
        scale = next((scale for part, scale in _LAST.items() if part in name), 1.0)
        value = rng.standard_normal(shape, np.float32) * np.float32(scale * np.sqrt(2 / _inputs(name, shape)))
    return value.astype(np.float32)


def _inputs(name, shape):
    """Inputs of an output; of a deconvolution's kernel [in, out, h, w], of stride 2, a quarter of the cells."""
    if "conv5_mask" in name or "kps_score_lowres" in name:
        return shape[0] * shape[2] * shape[3] / 4
    return np.prod(shape[1:])


def projections(name, value):
    """[8]: a tensor's products with random vectors of 1 and -1, which follow from its name.

    The mean square of what two tensors' projections differ by is an unbiased estimate of the square of their distance.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    flat = np.asarray(value, np.float64).ravel()
    return np.stack([(2.0 * rng.integers(0, 2, flat.size) - 1) @ flat for _ in range(_PROJECTIONS)])
