"""Writes torchvision_detector.npz: the names of Mask R-CNN's tensors, and what it sees with seeded weights.

    python tests/reference/make_torchvision_detector.py [OUT.npz]

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored file). Boxes are
stored y first, and every fourth pixel of the masks.
"""

import json
import pathlib
import sys

import numpy as np
import seeded_weights
import torch
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d


def main():
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 3)
    # No resize, and a threshold that leaves some of the hundred slots empty.
    model = MaskRCNN(backbone, 91, min_size=128, max_size=160, box_score_thresh=0.12).eval()
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(v) for name, v in seeded_weights.state(shapes).items()})
    raw_masks = []
    model.roi_heads.mask_predictor.register_forward_hook(lambda _, __, out: raw_masks.append(out))
    image = torch.from_numpy(seeded_weights.image()).permute(2, 0, 1) / 255
    with torch.inference_mode():
        [found] = model([image])
    own = raw_masks[0][torch.arange(len(found["labels"])), found["labels"]].sigmoid()
    out = sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).with_name("torchvision_detector.npz")
    np.savez_compressed(
        out,
        shapes=json.dumps(shapes),
        boxes=found["boxes"].numpy()[:, [1, 0, 3, 2]],
        labels=found["labels"].numpy(),
        scores=found["scores"].numpy(),
        masks=own.numpy()[:, ::4, ::4],
    )
    print(f"{len(found['labels'])} detections, scores {found['scores'].min():.3f} to {found['scores'].max():.3f}")


if __name__ == "__main__":
    main()
