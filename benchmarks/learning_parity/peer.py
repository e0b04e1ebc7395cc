"""torchvision's side: its detector, its input, its losses and its detections, with torch's optimizer and schedules.

    PEER_PYTHON benchmarks/learning_parity/peer.py weights RULES SEED WEIGHTS.npz
    PEER_PYTHON benchmarks/learning_parity/peer.py train RULES SEED WEIGHTS.npz PICTURES.npz FOLDER

RULES are those of rules.py as JSON. `weights` writes random weights, as torchvision makes them; `train` begins with
such and writes FOLDER/detections-STEP.npz after some steps, with the boxes in pixels of the original pictures. The
pictures are arrays named SPLIT/NUMBER/image and so on; see `ours.pictures`.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from rules import Rules
from torch.optim import lr_scheduler
from torchvision.models import detection, resnet
from torchvision.models.detection import backbone_utils, faster_rcnn
from torchvision.ops import feature_pyramid_network


class ResNet18(resnet.ResNet):
    """torchvision's ResNet-18 with another number of channels."""

    def __init__(self, width):
        super().__init__(resnet.BasicBlock, [2, 2, 2, 2])
        self.inplanes = width
        self.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(resnet.BasicBlock, width, 2)
        self.layer2 = self._make_layer(resnet.BasicBlock, 2 * width, 2, 2)
        self.layer3 = self._make_layer(resnet.BasicBlock, 4 * width, 2, 2)
        self.layer4 = self._make_layer(resnet.BasicBlock, 8 * width, 2, 2)
        for module in self.modules():  # As torchvision's ResNet does with the layers that these replace.
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def build(rules):
    """torchvision's Faster R-CNN by the rules."""
    body = backbone_utils.BackboneWithFPN(
        ResNet18(rules.width),
        {f"layer{i + 1}": str(i) for i in range(4)},
        [rules.width * 2**i for i in range(4)],
        rules.channels,
        feature_pyramid_network.LastLevelMaxPool(),
        torch.nn.BatchNorm2d,
    )
    kept = {f"rpn_{when}_nms_top_n_{mode}": rules.proposals for when in ("pre", "post") for mode in ("train", "test")}
    return detection.FasterRCNN(
        body,
        min_size=rules.short_side,
        max_size=rules.long_side,
        rpn_anchor_generator=detection.rpn.AnchorGenerator(
            tuple((size,) for size in rules.anchor_sizes), ((0.5, 1.0, 2.0),) * len(rules.anchor_sizes)
        ),
        rpn_batch_size_per_image=rules.anchor_samples,
        box_batch_size_per_image=rules.roi_samples,
        box_head=faster_rcnn.TwoMLPHead(49 * rules.channels, rules.units),
        box_predictor=faster_rcnn.FastRCNNPredictor(rules.units, rules.classes + 1),
        **kept,
    )


def weights(rules, seed, path):
    """Writes the random weights of a seed."""
    torch.manual_seed(seed)
    state = build(rules).state_dict()
    np.savez(path, **{name: value.numpy() for name, value in state.items() if not name.endswith("tracked")})


def train(rules, seed, path, pictures, folder):
    """Trains, and writes what is detected in the pictures of `val` after every few epochs."""
    model, stored = build(rules), np.load(pictures)
    begun = {name: torch.from_numpy(value) for name, value in np.load(path).items()}
    missing, surplus = model.load_state_dict(begun, strict=False)
    assert not surplus and all(name.endswith("tracked") for name in missing), (missing, surplus)
    torch.manual_seed(seed)  # of order, flips, and samples of anchors and rois
    examples, unseen = (split(stored, name) for name in ("train", "val"))
    optimizer = torch.optim.SGD(model.parameters(), rules.rate, rules.momentum, weight_decay=rules.decay)
    per_epoch = rules.steps_per_epoch
    schedules = (
        lr_scheduler.LinearLR(optimizer, rules.warmup_factor, total_iters=rules.warmup * per_epoch),
        lr_scheduler.MultiStepLR(optimizer, [epoch * per_epoch for epoch in rules.drops]),
    )
    for epoch in range(1, rules.epochs + 1):
        model.train()
        order = np.resize(torch.randperm(len(examples)).numpy(), [per_epoch, rules.batch])
        for rows in order:
            images, targets = zip(*(flipped(*examples[row]) for row in rows), strict=True)
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for schedule in schedules:
                schedule.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)
        if epoch % rules.every == 0 or epoch == rules.epochs:
            np.savez(Path(folder, f"detections-{epoch * per_epoch}.npz"), **detections(model, unseen))


def split(stored, name):
    """[(image [3, H, W] in 0..1, target)] of a split."""
    count = sum(key.startswith(f"{name}/") and key.endswith("/image") for key in stored)
    return [
        (
            torch.from_numpy(stored[f"{name}/{i}/image"]).permute(2, 0, 1) / 255,
            {key: torch.from_numpy(stored[f"{name}/{i}/{key}"]) for key in ("boxes", "labels")},
        )
        for i in range(count)
    ]


def flipped(image, target):
    """A picture and its target, or at random their mirror images, as in torchvision's references/detection."""
    if torch.rand(1) >= 0.5:
        return image, target
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[-1] - boxes[:, [2, 0]]
    return image.flip(-1), target | {"boxes": boxes}


@torch.no_grad()
def detections(model, examples):
    """{NUMBER/boxes, NUMBER/labels, NUMBER/scores: array} of pictures."""
    model.eval()
    found = {}
    for i, (image, _) in enumerate(examples):
        (of_image,) = model([image])
        found |= {f"{i}/{name}": value.numpy() for name, value in of_image.items()}
    return found


if __name__ == "__main__":
    job, given, seed, *paths = sys.argv[1:]
    torch.set_num_threads(2)
    {"weights": weights, "train": train}[job](Rules.from_json(given), int(seed), *paths)
