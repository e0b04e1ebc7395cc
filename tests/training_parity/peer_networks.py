"""torchvision's networks of any width, and their loss terms by our names. Needs torch and torchvision."""

import numpy as np
import torch
import torchvision
from torch.nn import functional
from torchvision.models import _utils, detection, resnet
from torchvision.models.detection import backbone_utils, faster_rcnn, keypoint_rcnn, mask_rcnn, roi_heads
from torchvision.models.segmentation import fcn
from torchvision.ops import feature_pyramid_network, misc

VERSIONS = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
_MEAN, _STD = (torch.tensor(rgb)[:, None, None] for rgb in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class ResNet(resnet.ResNet):
    """torchvision's ResNet-50 with another number of channels."""

    def __init__(self, width, classes, norm, dilated=False):
        super().__init__(resnet.Bottleneck, [3, 4, 6, 3], classes, norm_layer=norm)
        self.inplanes, self.dilation = width, 1
        self.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = norm(width)
        self.layer1 = self._make_layer(resnet.Bottleneck, width, 3)
        self.layer2 = self._make_layer(resnet.Bottleneck, 2 * width, 4, 2)
        self.layer3 = self._make_layer(resnet.Bottleneck, 4 * width, 6, 2, dilated)
        self.layer4 = self._make_layer(resnet.Bottleneck, 8 * width, 3, 2, dilated)
        self.fc = torch.nn.Linear(32 * width, classes)


def build(case):
    norm = misc.FrozenBatchNorm2d if case.norm == "frozen" else torch.nn.BatchNorm2d
    if case.network == "classification":
        return ResNet(case.width, case.classes, norm).train()
    if case.network == "fcn":
        body = _utils.IntermediateLayerGetter(
            ResNet(case.width, 1, norm, dilated=True), {"layer4": "out", "layer3": "aux"}
        )
        heads = [fcn.FCNHead(channels * case.width, case.classes) for channels in (32, 16)]
        for head in heads:
            head[3].p = 0.0  # Dropout: the draws of two libraries are never the same.
        return fcn.FCN(body, *heads).train()
    return _detector(case, ResNet(case.width, 1, norm)).train()


def _detector(case, body):
    """torchvision's detector, of which nothing is left out when anchors and rois are sampled."""
    for name, parameter in body.named_parameters():
        stage = int(name[5]) if name.startswith("layer") else 0
        parameter.requires_grad_(stage >= case.frozen_stages)
    c, units, w = case.channels, case.units, case.width
    backbone = backbone_utils.BackboneWithFPN(
        body, {f"layer{i + 1}": str(i) for i in range(4)}, [4 * w, 8 * w, 16 * w, 32 * w], c,
        feature_pyramid_network.LastLevelMaxPool(),
    )  # fmt: skip
    everything = dict.fromkeys(("rpn_batch_size_per_image", "box_batch_size_per_image"), 10**6)
    everything |= dict.fromkeys(("rpn_positive_fraction", "box_positive_fraction"), 1.0)
    parts = {
        "rpn_anchor_generator": detection.rpn.AnchorGenerator(
            tuple((size,) for size in case.anchor_sizes), ((0.5, 1.0, 2.0),) * 5
        ),
        "box_head": faster_rcnn.TwoMLPHead(49 * c, units),
        "box_predictor": faster_rcnn.FastRCNNPredictor(units, case.classes + 1),
        "_skip_resize": True,
    }
    if case.network == "mask_rcnn":
        head, predictor = mask_rcnn.MaskRCNNHeads(c, (c,) * 4, 1), mask_rcnn.MaskRCNNPredictor(c, c, case.classes + 1)
        return detection.MaskRCNN(backbone, mask_head=head, mask_predictor=predictor, **parts, **everything)
    if case.network == "keypoint_rcnn":
        head = keypoint_rcnn.KeypointRCNNHeads(c, (case.keypoint_channels,) * 8)
        predictor = keypoint_rcnn.KeypointRCNNPredictor(case.keypoint_channels, case.joints)
        return detection.KeypointRCNN(
            backbone, keypoint_head=head, keypoint_predictor=predictor, min_size=1, **parts, **everything
        )
    return detection.FasterRCNN(backbone, **parts, **everything)


def classification(case, model, batch):
    """torchvision's references/classification/train.py without label smoothing."""
    return {"class_loss": functional.cross_entropy(model(_normalized(batch["image"])), _labels(batch["label"]))}


def segmentation(case, model, batch):
    """`criterion` of torchvision's references/segmentation/train.py; 255 is a pixel that does not count."""
    outputs, labels = model(_normalized(batch["image"])), _labels(batch["label_map"])
    labels = torch.where(labels < 0, 255, labels)
    main, aux = (functional.cross_entropy(outputs[name], labels, ignore_index=255) for name in ("out", "aux"))
    return {"class_loss": main, "auxiliary_loss": 0.5 * aux}


def detection_terms(case, model, batch):
    """What a detector returns in training, of the rois in `batch["given"]` instead of its own proposals."""
    images, targets, rois = [], [], []
    for i, (height, width) in enumerate(batch["size"]):
        images.append(_numbers(batch["image"][i, :height, :width]).permute(2, 0, 1) / 255)
        targets.append(_target(batch, i))
        rois.append(_numbers(_x_first(batch["given"][i])))
    model.rpn.filter_proposals = lambda *arguments: (rois, None)
    return {_NAMES[name]: value for name, value in model(images, targets).items()}


_NAMES = {
    "loss_objectness": "objectness_loss", "loss_rpn_box_reg": "rpn_box_loss", "loss_classifier": "class_loss",
    "loss_box_reg": "box_loss", "loss_mask": "mask_loss", "loss_keypoint": "keypoint_loss",
}  # fmt: skip


def _target(batch, i):
    """The annotations of image i, as torchvision's reference for detection has them."""
    n, (height, width) = (batch["labels"][i] > 0).sum(), batch["size"][i]
    target = {
        "boxes": _numbers(_x_first(batch["boxes"][i, :n])),
        "labels": torch.from_numpy(np.int64(batch["labels"][i, :n])),
    }
    if "bitmaps" in batch:
        target["masks"] = torch.from_numpy(np.uint8(batch["bitmaps"][i, :n, :height, :width]))
    if "keypoints" in batch:
        y, x, visible = np.moveaxis(batch["keypoints"][i, :n], -1, 0)
        (down, across) = np.float32(0.5) * batch["scale"][i]  # Ours are pixel centres, torchvision's are indices.
        target["keypoints"] = torch.from_numpy(np.stack([x - across, y - down, visible], -1))
    return target


def _x_first(boxes):
    return np.ascontiguousarray(boxes[..., [1, 0, 3, 2]])


TERMS = {"classification": classification, "fcn": segmentation} | dict.fromkeys(
    ("faster_rcnn", "mask_rcnn", "keypoint_rcnn"), detection_terms
)


def mask_targets(case, model, batch):
    """Rois [P, 4] (y first) and mask targets [P, 28, 28] of all images of a batch, by torchvision's rule."""
    original, kept = roi_heads.project_masks_on_boxes, []

    def project(masks, boxes, index, size):
        kept.append((boxes, original(masks, boxes, index, size)))
        return kept[-1][1]

    roi_heads.project_masks_on_boxes = project
    try:
        with torch.no_grad():
            detection_terms(case, model, batch)
    finally:
        roi_heads.project_masks_on_boxes = original
    boxes, targets = (torch.cat(values).numpy() for values in zip(*kept, strict=True))
    return _x_first(boxes), targets


def _normalized(image):
    """[B, 3, H, W] of images [B, H, W, 3] in 0..255."""
    return (_numbers(image).permute(0, 3, 1, 2) / 255 - _MEAN) / _STD


def _numbers(values):
    """Of the precision that the networks compute in."""
    return torch.from_numpy(values).to(torch.get_default_dtype())


def _labels(labels):
    return torch.from_numpy(np.int64(labels)) - 1
