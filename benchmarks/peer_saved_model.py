"""The peer's side of saved_model.py: torchvision's maskrcnn_resnet50_fpn, eager. Run by the interpreter PEER_PYTHON.

python peer_saved_model.py FOLDER   answers cases, with inputs.npz and weights.npz of the folder
"""

import sys
from pathlib import Path

import numpy as np
import torch
from peer_models import new
from sides import serve


def main():
    torch.set_num_threads(2)
    folder = Path(sys.argv[1])
    photo = np.load(folder / "inputs.npz")["photo"]
    model = new().eval()
    model.load_state_dict({n: torch.from_numpy(np.asarray(v)) for n, v in np.load(folder / "weights.npz").items()})

    def infer():
        with torch.inference_mode():
            [found] = model([torch.from_numpy(photo).permute(2, 0, 1) / 255])
        found["masks"] = found["masks"] > 0.5
        return {name: value.numpy() for name, value in found.items()}

    def save():
        found = infer()
        np.savez(folder / "peer.npz", **{name: found[name] for name in ("boxes", "labels", "scores")})

    serve({"photo of 480x640, masks pasted": infer, "save detections": save})


if __name__ == "__main__":
    main()
