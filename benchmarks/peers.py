"""Networks of torchvision on the peer's side of a benchmark; torch is imported where it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sides

LAYOUTS = ("contiguous_format", "channels_last")  # of PyTorch; which is faster depends on the processor
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # as our models' first layer has them


def torch() -> Any:
    """The library, on as many cores as ours has."""
    import torch

    torch.set_num_threads(sides.CORES)
    return torch


def write_weights(folder: str, build: Callable[[], Any], adjust: Callable[[dict], None] = lambda state: None) -> None:
    """Writes FOLDER/weights.npz of a network of seeded random weights, `adjust`ed in place."""
    torch().manual_seed(0)
    state = build().state_dict()
    adjust(state)
    np.savez(Path(folder, "weights.npz"), **{name: value.numpy() for name, value in state.items()})


def loaded(network: Any, folder: str, layout: str = LAYOUTS[0]) -> Any:
    """The network with FOLDER/weights.npz, in a layout."""
    library, weights = torch(), np.load(Path(folder, "weights.npz"))
    network.load_state_dict({name: library.from_numpy(np.asarray(value)) for name, value in weights.items()})
    return network.to(memory_format=getattr(library, layout))


def nchw(images: np.ndarray, layout: str) -> Any:
    """Images [B, H, W, 3] as a tensor [B, 3, H, W] in a layout."""
    library = torch()
    return library.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=getattr(library, layout))


def normalized(images: Any) -> Any:
    """Images [B, 3, H, W] in 0..255 as published networks expect them."""
    mean, deviation = (images.new_tensor(rgb)[:, None, None] for rgb in (MEAN, DEVIATION))
    return (images - mean) / deviation


def training_step(network: Any, loss_of: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    """A step of SGD with momentum on what `loss_of` returns; it returns the loss."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch().optim.SGD(learned, 1e-4, 0.9, weight_decay=1e-4, **options)

    def step():
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step
