"""Writes torchvision_keypoints.npz: inputs and torchvision's answers of its keypoint branch.

    python tests/reference/make_torchvision_keypoints.py [OUT.npz [SEED]]

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored file). Needs
nothing else of this repository. Everything is stored in this library's order: NHWC maps, y before x.
"""

import pathlib
import sys

import numpy as np
import torch
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints, keypointrcnn_loss, keypoints_to_heatmap

SIZE, JOINTS, CHANNELS = 56, 2, 4


def swap(boxes):
    """Boxes [..., 4] with x and y exchanged, either way."""
    return boxes[..., [1, 0, 3, 2]]


def maps_first(maps):
    """Maps [D, S, S, J] as torch's [D, J, S, S]."""
    return torch.tensor(np.ascontiguousarray(maps.transpose(0, 3, 1, 2)))


def boxes_of(rng):
    """Boxes of every awkward size: without an inside, of a pixel or less, of whole pixels, larger than the map."""
    awkward = [
        [0, 0, 0, 0],
        [5, 7, 5.2, 7.4],
        [5, 7, 6, 8],
        [5.5, 7.25, 6.5, 9.75],
        [10, 20, 66, 76],
        [10, 20, 38, 48],
        [3.1, 2.2, 300.7, 411.9],
        [3.1, 2.2, 190.3, 5.4],
        [100, 40, 103, 240],
    ]
    corners = np.sort(rng.uniform(0, 150, (5, 2, 2)), axis=1).reshape(-1, 4)
    return np.concatenate([awkward, corners]).astype(np.float32)


def decoding(rng):
    """Half of the maps are noise, whose peaks are sharp and at the borders too; half are a blunt hill."""
    boxes = boxes_of(rng)
    maps = np.round(rng.normal(size=(len(boxes), SIZE, SIZE, JOINTS)) * 30)  # Whole numbers: a small file.
    grid = np.arange(SIZE)
    top = rng.uniform(-4, 60, (2, len(boxes), JOINTS))
    y, x = (np.square(grid[None, :, None] - t[:, None]) for t in top)
    maps[::2] = (8 - (y[:, :, None] + x[:, None]) / 60)[::2]
    maps = maps.astype(np.float16)
    points, scores = heatmaps_to_keypoints(maps_first(maps.astype(np.float32)), torch.tensor(swap(boxes)))
    found = np.concatenate([points.numpy()[..., [1, 0]], scores.numpy()[..., None]], axis=-1)
    return {"boxes": boxes, "maps": maps, "found": found}


def training(rng, maps):
    """Targets and the loss of rois around a few instances, whose keypoints lie on the edges, outside, or nowhere."""
    rois = boxes_of(rng)
    rois[:3] = [[20, 10, 120, 140], [0, 0, 90.5, 90], [30, 40, 110, 100]]
    instances = np.concatenate([rng.uniform(0, 120, (5, JOINTS, 2)), rng.integers(0, 3, (5, JOINTS, 1))], axis=-1)
    instances[0] = [[10, 20, 2], [66, 76, 1]]  # corners of a roi
    instances = instances.astype(np.float32)
    gt = rng.integers(0, 5, len(rois))
    gt[4:6] = 0
    keypoints = torch.tensor(instances[..., [1, 0, 2]])
    torch_rois, torch_gt = torch.tensor(swap(rois)), torch.tensor(gt)
    index, valid = keypoints_to_heatmap(keypoints[torch_gt], torch_rois, SIZE)
    loss = keypointrcnn_loss(maps_first(maps.astype(np.float32)), [torch_rois], [keypoints], [torch_gt])
    return {
        "rois": rois,
        "instances": instances,
        "gt": gt,
        "index": index.numpy(),
        "valid": valid.numpy() > 0,
        "loss": loss.numpy(),
    }


def head(rng):
    """A branch of two convolutions, with its kernels as [h, w, in, out] and the deconvolution's as [h, w, out, in]."""
    layers = KeypointRCNNHeads(CHANNELS, (CHANNELS, CHANNELS)), KeypointRCNNPredictor(CHANNELS, JOINTS)
    model = torch.nn.Sequential(*layers).eval()
    pooled = rng.normal(size=(2, 14, 14, CHANNELS)).astype(np.float32)
    out = {"pooled": pooled}
    with torch.no_grad():
        for k, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.tensor(rng.normal(size=parameter.shape) * 0.3))
            value = parameter.numpy()
            out[f"weight{k}"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
        out["heat"] = model(maps_first(pooled)).numpy().transpose(0, 2, 3, 1)
    return out


def main():
    out = sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).with_name("torchvision_keypoints.npz")
    rng = np.random.default_rng(int(sys.argv[2]) if sys.argv[2:] else 0)
    decoded = decoding(rng)
    np.savez_compressed(out, **decoded, **training(rng, decoded["maps"]), **head(rng))


if __name__ == "__main__":
    main()
