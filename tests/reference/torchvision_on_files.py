"""Saves torchvision's model with seeded weights as a file, and what it sees in pictures that are files too.

    python tests/reference/torchvision_on_files.py MODEL FOLDER PICTURE ...

Run by an interpreter that has torch and torchvision. Writes FOLDER/weights.pth, under the names and in the format of
the published file, and FOLDER/seen.npz: of picture i boxes_i (x first), labels_i, scores_i, masks_i (bits of whole
pixels, in rows), keypoints_i and keypoint_leads_i (see make_torchvision_detectors.py).
"""

import pathlib
import sys

import make_torchvision_detectors as detectors
import numpy as np
import seeded_weights
import torch
from PIL import Image


def main():
    name, folder, *pictures = sys.argv[1:]
    folder = pathlib.Path(folder)
    shapes = detectors.published_shapes(name)
    state = {key: torch.from_numpy(value) for key, value in seeded_weights.state(shapes).items()}
    # The files of 2019 are in the format before torch 1.6.
    torch.save(state, folder / "weights.pth", _use_new_zipfile_serialization=name.endswith("v2"))
    model, seen = detectors.build(name, shapes), {}
    for i, picture in enumerate(pictures):
        pixels = torch.from_numpy(np.array(Image.open(picture).convert("RGB"))).permute(2, 0, 1)
        with torch.inference_mode(), detectors.kept_maps() as maps:
            [found] = model([pixels / 255])
        seen |= {f"{key}_{i}": found[key].numpy() for key in ("boxes", "labels", "scores")}
        if "masks" in found:
            seen[f"masks_{i}"] = np.packbits(found["masks"][:, 0].numpy() > 0.5, axis=-1)
        if "keypoints" in found:
            seen[f"keypoints_{i}"] = found["keypoints"].numpy()
            seen[f"keypoint_leads_{i}"] = detectors.leads(*maps[0]).numpy()
    np.savez_compressed(folder / "seen.npz", **seen)


if __name__ == "__main__":
    main()
