"""The files that torchvision publishes, and their documentation (its `Weights` classes and model pages)."""

from tfrecog.data.classes import coco, imagenet, voc
from tfrecog.weights import torchvision, torchvision_classifiers, torchvision_detectors, torchvision_fcn
from tfrecog.weights.published import DETECTOR_FINE_TUNING, Published

_ADDRESS = "https://download.pytorch.org/models/"

# --model: file, whose name ends in the first digits of its SHA-256; average precision of boxes, masks and keypoints.
_DETECTORS = {
    "fasterrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn_coco-258fb6c6", {"box AP": 37.0}),
    "fasterrcnn_resnet50_fpn_v2": ("fasterrcnn_resnet50_fpn_v2_coco-dd69338a", {"box AP": 46.7}),
    "fasterrcnn_mobilenet_v3_large_fpn": ("fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7", {"box AP": 32.8}),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9", {"box AP": 22.8}),
    "maskrcnn_resnet50_fpn": ("maskrcnn_resnet50_fpn_coco-bf2d0c1e", {"box AP": 37.9, "mask AP": 34.6}),
    "maskrcnn_resnet50_fpn_v2": ("maskrcnn_resnet50_fpn_v2_coco-73cbd019", {"box AP": 47.4, "mask AP": 41.8}),
    "keypointrcnn_resnet50_fpn": ("keypointrcnn_resnet50_fpn_coco-fc266e95", {"box AP": 54.6, "keypoint AP": 65.0}),
    "keypointrcnn_resnet50_fpn_legacy": (
        "keypointrcnn_resnet50_fpn_coco-9f466800", {"box AP": 50.6, "keypoint AP": 61.1}
    ),
}  # fmt: skip

# --model: file, accuracy of the best guess and of the best five. `_v2` is another training of the same network.
_CLASSIFIERS = {
    "alexnet": ("alexnet-owt-7be5be79", 56.522, 79.066),
    "vgg16": ("vgg16-397923af", 71.592, 90.382),
    "vgg16_bn": ("vgg16_bn-6c64b313", 73.360, 91.516),
    "resnet18": ("resnet18-f37072fd", 69.758, 89.078),
    "resnet34": ("resnet34-b627a593", 73.314, 91.420),
    "resnet50": ("resnet50-0676ba61", 76.130, 92.862),
    "resnet50_v2": ("resnet50-11ad3fa6", 80.858, 95.434),
    "resnet101": ("resnet101-63fe2227", 77.374, 93.546),
    "resnet101_v2": ("resnet101-cd907fc2", 81.886, 95.780),
    "resnet152": ("resnet152-394f9c45", 78.312, 94.046),
    "resnet152_v2": ("resnet152-f82ba261", 82.284, 96.002),
    "resnext50_32x4d": ("resnext50_32x4d-7cdf4587", 77.618, 93.698),
    "resnext50_32x4d_v2": ("resnext50_32x4d-1a0047aa", 81.198, 95.340),
    "mobilenet_v3_large": ("mobilenet_v3_large-8738ca79", 74.042, 91.340),
    "mobilenet_v3_large_v2": ("mobilenet_v3_large-5c1a4163", 75.274, 92.566),
}

# --model: file, mean IoU and the share of pixels that are right.
_SEGMENTERS = {
    "fcn_resnet50": ("fcn_resnet50_coco-1167a1af", 60.5, 91.4),
    "fcn_resnet101": ("fcn_resnet101_coco-7ecb50ca", 63.7, 91.9),
}


def _published(file, *facts, **more):
    return Published(f"{_ADDRESS}{file}.pth", file.rpartition("-")[2], *facts, **more)


def _detector(name):
    file, figures = _DETECTORS[name]
    info = coco.people() if name.startswith("keypoint") else coco.instances(coco.BY_ID)
    return _published(
        file, torchvision_detectors.EXPERIMENTS[name], info, figures, "torchvision, COCO val2017", torchvision.arrays,
        "roi_heads.box_predictor.cls_score.bias", backgrounds=1, fine_tuning=DETECTOR_FINE_TUNING,
    )  # fmt: skip


def _classifier(name):
    file, top_1, top_5 = _CLASSIFIERS[name]
    figures, source = {"top-1 accuracy": top_1, "top-5": top_5}, "torchvision, ImageNet's validation images"
    return _published(
        file, torchvision_classifiers.EXPERIMENTS[name], imagenet.classes(), figures, source,
        torchvision_classifiers.arrays, torchvision_classifiers.class_bias(name),
    )  # fmt: skip


def _segmenter(name):
    file, mean_iou, pixel_accuracy = _SEGMENTERS[name]
    figures = {"mean IoU": mean_iou, "pixel accuracy": pixel_accuracy}
    return _published(
        file, torchvision_fcn.EXPERIMENTS[name], voc.pixels(), figures, "torchvision, COCO val2017 with VOC's classes",
        torchvision_fcn.arrays, "classifier.4.bias",  # the background is a class like any other
    )  # fmt: skip


MODELS = (
    {name: _detector(name) for name in _DETECTORS}
    | {name: _classifier(name) for name in _CLASSIFIERS}
    | {name: _segmenter(name) for name in _SEGMENTERS}
)
