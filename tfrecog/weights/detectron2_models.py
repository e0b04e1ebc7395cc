"""The R50-FPN and R101-FPN detectors of detectron2's model zoo: their files, and the rules they were trained with.

Files, digests and figures are those of detectron2's MODEL_ZOO.md, which says that the name of a file ends in the first
digits of its MD5; the rules are those of its configs/Base-RCNN-FPN.yaml and config/defaults.py.
"""

from dataclasses import replace

from tfrecog import config
from tfrecog.data.classes import coco
from tfrecog.weights import detectron2
from tfrecog.weights.published import DETECTOR_FINE_TUNING, Published

_ADDRESS = "https://dl.fbaipublicfiles.com/detectron2/"

# --model, as in the zoo: file, average precision of boxes, of masks or keypoints.
_ZOO = {
    "faster_rcnn_R_50_FPN_1x": ("137257794/model_final_b275ba", 37.9, None),
    "faster_rcnn_R_50_FPN_3x": ("137849458/model_final_280758", 40.2, None),
    "faster_rcnn_R_101_FPN_3x": ("137851257/model_final_f6e8b1", 42.0, None),
    "mask_rcnn_R_50_FPN_1x": ("137260431/model_final_a54504", 38.6, 35.2),
    "mask_rcnn_R_50_FPN_3x": ("137849600/model_final_f10217", 41.0, 37.2),
    "mask_rcnn_R_101_FPN_3x": ("138205316/model_final_a3ec72", 42.9, 38.6),
    "keypoint_rcnn_R_50_FPN_1x": ("137261548/model_final_04e291", 53.6, 64.0),
    "keypoint_rcnn_R_50_FPN_3x": ("137849621/model_final_a6e10b", 55.4, 65.5),
    "keypoint_rcnn_R_101_FPN_3x": ("138363331/model_final_997cc7", 56.4, 66.1),
}
_FOLDERS = {"faster": "COCO-Detection", "mask": "COCO-InstanceSegmentation", "keypoint": "COCO-Keypoints"}

# An image alone, padded to a multiple of 32: the padding of other images in a batch would change what is found.
_DATA = config.DataConfig(
    eval_batch_size=1,
    pad_to_batch_max=True,
    short_side=(640, 672, 704, 736, 768, 800),
    resize="pillow",
    size_rounding="nearest",
)
# detectron2 drops empty boxes alone, and a side below this is an empty one's but for rounding. It drops detections
# after it has chosen the best hundred; here it is before, so that an empty one takes no other's place.
_NOT_EMPTY = 1e-6
_DETECTOR = config.DetectorConfig(
    aligned=True,
    backbone=config.BackboneConfig(stride_in_1x1=True),
    rpn=config.RpnConfig(
        anchor_rule="detectron2", min_size=_NOT_EMPTY, smooth_l1_beta=0.0, train=config.ProposalConfig(2000, 1000)
    ),
    box=config.BoxConfig(sampling_ratio=0, smooth_l1_beta=0.0),
    mask=config.MaskConfig(sampling_ratio=0),
    keypoint=config.KeypointConfig(sampling_ratio=0),
    output=config.OutputConfig(min_size=_NOT_EMPTY, paste="detectron2"),
)


def experiment(model: str) -> config.Experiment:
    """The experiment that the weights of a model of the zoo fit, by its name there."""
    kind, depth = model.split("_")[0], model.split("_")[3]
    detector = replace(_DETECTOR, backbone=replace(_DETECTOR.backbone, name=f"resnet{depth}"))
    if kind == "mask":
        detector = replace(detector, masks=True)
    if kind == "keypoint":
        detector = replace(
            detector,
            keypoints=True,
            rpn=replace(detector.rpn, train=config.ProposalConfig(2000, 1500)),
            box=replace(detector.box, smooth_l1_beta=0.5),
        )
    return config.Experiment(data=_DATA, detector=detector)


def _published(model: str) -> Published:
    file, box, other = _ZOO[model]
    kind = model.split("_")[0]
    return Published(
        url=f"{_ADDRESS}{_FOLDERS[kind]}/{model}/{file}.pkl",
        digest=file.rpartition("_")[2],
        experiment=experiment(model),
        info=coco.people() if kind == "keypoint" else coco.instances(coco.IN_A_ROW),
        figures={"box AP": box} | ({} if other is None else {f"{kind} AP": other}),
        source="detectron2, COCO val2017",
        arrays=detectron2.arrays,
        class_bias="roi_heads.box_predictor.cls_score.bias",
        backgrounds=1,
        algorithm="md5",
        fine_tuning=DETECTOR_FINE_TUNING,
    )


MODELS = {model: _published(model) for model in _ZOO}
