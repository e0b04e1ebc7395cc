"""How much a training may cost: the steps of the ladder, from what is wanted down to what fits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """What is saved on, of a network and its input."""

    network: str = "resnet18"
    width: int = 32  # channels of its first stage
    size: float = 1.0  # factor of the picture's size
    window: float = 1.0  # share of a detector's picture, along each side, that a step sees
    rois: int = 64  # of a detector, in training
    masks: int = 0  # positives that the mask branch sees of a picture; 0: all
    saved: str = ""  # on what, in words; empty on the first


def cost(rung: Rung, pixels: float, masks: bool = False) -> float:
    """About how much work a picture of this many pixels is, of which two plain cores do one unit in a second.

    Measured on two cores with AVX2: a narrow Faster R-CNN takes 0.3 s for 320 x 432 pixels, and the mask branch about
    8 ms a positive of 64 channels.
    """
    of_network = {"resnet18": 1.0, "resnet34": 1.8, "resnet50": 2.6}[rung.network] * (rung.width / 32) ** 1.7
    of_masks = 0.004 * (rung.masks or rung.rois / 2) if masks else 0.0
    return 1.5e-6 * pixels * of_network + 0.0012 * rung.rois + of_masks
