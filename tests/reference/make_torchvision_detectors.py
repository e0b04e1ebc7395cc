"""Writes torchvision_MODEL.npz for torchvision's published detectors: a model's tensors, and what it sees in a picture.

    python tests/reference/make_torchvision_detectors.py [--picture=FILE] [--out=FOLDER] [MODEL ...]

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored files). A model
is built as for its published weights, down to the names that those have in their file; the weights alone are those of
seeded_weights.py. Without --picture, the picture is that of seeded_weights.py and the settings are small (SMALL).

Boxes and deltas are stored y first. Of the larger arrays every n-th entry is stored (EVERY).
"""

import argparse
import contextlib
import json
import pathlib
import re

import numpy as np
import seeded_weights
import torch
from torchvision.models import detection
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import roi_heads
from torchvision.models.detection.rpn import concat_box_prediction_layers

HERE = pathlib.Path(__file__).resolve().parent
# Mask R-CNN with seeded weights does all that Faster R-CNN does, so no file of the latter is stored.
STORED = (
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
)
SMALL = {"box_detections_per_img": 20, "rpn_post_nms_top_n_test": 100}
SMALL_SIZE = {"min_size": 128, "max_size": 200}
EVERY = {"objectness": 4, "deltas": 16, "class_logits": 5, "box_deltas": 20, "masks": 2}
# Present names to those in the files of 2019 and 2021.
OLD_NAMES = (
    (r"(backbone\.fpn\.\w+_blocks\.\d)\.0\.", r"\1."),
    (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    (r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}."),
)


def published_shapes(name):
    """{name: shape} of the tensors in the published file."""
    model = getattr(detection, name)(weights=None, weights_backbone=None)
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    if name.endswith("v2"):
        return shapes
    shapes = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    for new, old in OLD_NAMES:
        shapes = {re.sub(new, old, key): shape for key, shape in shapes.items()}
    return shapes


def build(name, shapes, **settings):
    """The model that torchvision builds for its published weights, with the seeded ones in their place."""
    state = {key: torch.from_numpy(value) for key, value in seeded_weights.state(shapes).items()}
    original = WeightsEnum.get_state_dict
    WeightsEnum.get_state_dict = lambda self, *args, **options: dict(state)
    try:
        return getattr(detection, name)(weights="COCO_V1", **settings).eval()
    finally:
        WeightsEnum.get_state_dict = original


def sees(model, picture):
    """What `model` sees in a picture uint8 [H, W, 3], and what it computes on the way."""
    kept = {}

    def keep(key):
        return lambda module, inputs, output: kept.__setitem__(key, output)

    model.rpn.head.register_forward_hook(keep("head"))
    model.rpn.register_forward_hook(keep("rpn"))
    model.roi_heads.box_predictor.register_forward_hook(keep("box"))
    if model.roi_heads.has_mask():
        model.roi_heads.mask_predictor.register_forward_hook(keep("mask"))
    with torch.inference_mode(), kept_maps() as maps:
        [found] = model([torch.from_numpy(picture).permute(2, 0, 1) / 255])
    objectness, deltas = concat_box_prediction_layers(*kept["head"])
    class_logits, box_deltas = kept["box"]
    seen = {
        "objectness": objectness.flatten(),
        "deltas": y_first(deltas),
        "proposals": y_first(kept["rpn"][0][0]),
        "class_logits": class_logits,
        "box_deltas": y_first(box_deltas.reshape(len(box_deltas), -1, 4))[:, 1:],
        "boxes": y_first(found["boxes"]),
        "labels": found["labels"],
        "scores": found["scores"],
    }
    if model.roi_heads.has_mask():
        own = kept["mask"][torch.arange(len(found["labels"])), found["labels"]].sigmoid()
        seen["masks"] = own[:, :: EVERY["masks"], :: EVERY["masks"]]
    if model.roi_heads.has_keypoint():
        seen["keypoints"] = found["keypoints"][..., [1, 0]]
        seen["keypoint_scores"] = found["keypoints_scores"]
        seen["keypoint_leads"] = leads(*maps[0])
    seen = {key: value.numpy() for key, value in seen.items()}
    return seen | {key: seen[key][:: EVERY[key]] for key in ("objectness", "deltas", "class_logits", "box_deltas")}


@contextlib.contextmanager
def kept_maps():
    """A list, to which each model that sees a picture adds its heat maps and their boxes, for `leads`."""
    original, kept = roi_heads.heatmaps_to_keypoints, []

    def read(maps, rois):
        kept.append((maps, rois))
        return original(maps, rois)

    roi_heads.heatmaps_to_keypoints = read
    try:
        yield kept
    finally:
        roi_heads.heatmaps_to_keypoints = original


def leads(maps, rois):
    """By how much the highest cell of each heat map [D, J, S, S], stretched over its roi [D, 4], leads the next."""
    result = []
    for logits, (x1, y1, x2, y2) in zip(maps, rois.tolist(), strict=True):
        size = [int(np.ceil(max(side, 1))) for side in (y2 - y1, x2 - x1)]
        stretched = torch.nn.functional.interpolate(logits[None], size, mode="bicubic", align_corners=False)[0]
        cells = torch.nn.functional.pad(stretched.flatten(1), (0, 1), value=-torch.inf)  # There may be one alone.
        best = cells.topk(2).values
        result.append(best[:, 0] - best[:, 1])
    return torch.stack(result)


def y_first(boxes):
    return boxes[..., [1, 0, 3, 2]]


def make(name, picture, out):
    shapes = published_shapes(name)
    if picture is None:
        settings = SMALL if "320" in name else SMALL | SMALL_SIZE
        pixels = seeded_weights.image()
    else:
        from PIL import Image

        settings, pixels = {}, np.array(Image.open(picture).convert("RGB"))
    seen = sees(build(name, shapes, **settings), pixels)
    np.savez_compressed(pathlib.Path(out) / f"torchvision_{name}.npz", shapes=json.dumps(shapes), **seen)
    scores = seen["scores"]
    gap = -np.diff(scores).max() if len(scores) > 1 else np.nan
    print(f"{name}: {len(scores)} detections, scores {scores[-1]:.3f} to {scores[0]:.3f}, nearest {gap:.1e} apart")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--picture")
    parser.add_argument("--out", default=HERE)
    parser.add_argument("models", nargs="*", default=STORED)
    options = parser.parse_args()
    for name in options.models:
        make(name, options.picture, options.out)


if __name__ == "__main__":
    main()
