"""The files that torchvision publishes, and what it says of them (its `Weights` classes and model pages)."""

from tfrecog.config import BackboneConfig, DataConfig, DetectorConfig, Experiment
from tfrecog.weights import coco
from tfrecog.weights.published import Published

_ADDRESS = "https://download.pytorch.org/models/"
_COCO = "torchvision's models page, COCO val2017"
_CONVENTIONS = DetectorConfig(backbone=BackboneConfig(norm_epsilon=0.0))
_DATA = DataConfig(tight=True, eval_batch_size=1)
_EXPERIMENTS = {
    "fasterrcnn_resnet50_fpn": Experiment(data=_DATA, detector=_CONVENTIONS),
    "maskrcnn_resnet50_fpn": Experiment(
        data=_DATA, detector=DetectorConfig(masks=True, backbone=_CONVENTIONS.backbone)
    ),
}

# --model: file, whose name ends in the first digits of its SHA-256; AP of boxes, masks, keypoints. An underscore and
# more after the architecture's name tells its files apart.
_DETECTORS = {
    "fasterrcnn_resnet50_fpn": ("fasterrcnn_resnet50_fpn_coco-258fb6c6", {"box AP": 37.0}),
    "maskrcnn_resnet50_fpn": ("maskrcnn_resnet50_fpn_coco-bf2d0c1e", {"box AP": 37.9, "mask AP": 34.6}),
}


def _published(file, experiment, info, figures, source):
    return Published(f"{_ADDRESS}{file}.pth", file.rpartition("-")[2], experiment, info, figures, source)


def _detector(name):
    file, figures = _DETECTORS[name]
    info = coco.people() if name.startswith("keypoint") else coco.instances(coco.BY_ID)
    return _published(file, _EXPERIMENTS[name.removesuffix("_legacy")], info, figures, _COCO)


MODELS = {name: _detector(name) for name in _DETECTORS}
