"""Writes weights/: small files of weights in torch's formats, and the same numbers as tensors.npz.

    python tests/reference/make_weight_files.py

Run by an interpreter that has torch (2.12.0 made the stored files).
"""

import argparse
import collections
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).with_name("weights")


def tensors():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8]
    state = {str(kind).removeprefix("torch."): torch.arange(-3, 4).to(kind) * 5 for kind in kinds}
    return collections.OrderedDict(
        {
            "plain": base,
            "transposed": base.T,
            "rows": base[1:3],  # shares the storage, from the second row on
            "columns": base[:, 1::2],
            "expanded": base[:1, :1].expand(2, 3),
            "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
            "half_row": torch.linspace(-3, 3, 5).bfloat16()[1:],
            "uint8": torch.tensor([0, 7, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False, True]),
            "scalar": torch.tensor(41),
            "empty": torch.zeros(0, 3),
            **state,
        }
    )


def main():
    state = tensors()
    FOLDER.mkdir(exist_ok=True)
    # What torchvision's own training script saves beside the weights.
    optimizer = torch.optim.SGD([state["parameter"]], lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    checkpoint = {"epoch": 3, "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("a").name)}
    checkpoint |= {"optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict()}
    checkpoint["model"] = collections.OrderedDict((f"module.{name}", value) for name, value in state.items())
    for old in (False, True):
        kind = "legacy" if old else "zip"
        torch.save(state, FOLDER / f"{kind}.pth", _use_new_zipfile_serialization=not old)
        torch.save(checkpoint, FOLDER / f"{kind}_checkpoint.pth", _use_new_zipfile_serialization=not old)
        torch.save(torch.nn.Linear(2, 3), FOLDER / f"{kind}_module.pth", _use_new_zipfile_serialization=not old)
    values = {n: (v.float() if v.dtype == torch.bfloat16 else v).detach().numpy() for n, v in state.items()}
    np.savez_compressed(FOLDER / "tensors.npz", **values)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
