"""torchvision's published detectors as experiments: every rule that their weights were trained and measured with."""

from dataclasses import replace

from tfrecog import config

# An image alone, padded to a multiple of 32: the padding of other images in a batch would change what is found.
_DATA = config.DataConfig(eval_batch_size=1, pad_to_batch_max=True)
_POSE = replace(_DATA, short_side=(640, 672, 704, 736, 768, 800))
_SMALL = replace(_DATA, short_side=(320,), eval_short_side=320, long_side=640)

# The weights of 2019 come from the time when torchvision's frozen batch norm had no epsilon, and run without it still.
_NO_EPSILON = config.BackboneConfig(norm_epsilon=0.0)
_FASTER = config.DetectorConfig(backbone=_NO_EPSILON)
# The second version (Li et al. 2021) learns its batch norm, and has it in the pyramid and the heads too.
_FASTER_V2 = config.DetectorConfig(
    backbone=config.BackboneConfig(norm="batch"),
    fpn=config.FpnConfig(norm="batch"),
    rpn=config.RpnConfig(convs=2),
    box=config.BoxConfig(convs=4, norm="batch", hidden_layers=1),
)
# torchvision freezes the stages before the third stride of 8; its epsilon is the frozen batch norm's, not MobileNet's.
_MOBILE = config.DetectorConfig(
    backbone=config.BackboneConfig(name="mobilenet_v3_large", frozen_stages=3),
    rpn=config.RpnConfig(every_size=True, min_score=0.05),
)
_FEW = config.ProposalConfig(150, 150)

EXPERIMENTS = {
    "fasterrcnn_resnet50_fpn": config.Experiment(data=_DATA, detector=_FASTER),
    "fasterrcnn_resnet50_fpn_v2": config.Experiment(data=_DATA, detector=_FASTER_V2),
    "fasterrcnn_mobilenet_v3_large_fpn": config.Experiment(data=_DATA, detector=_MOBILE),
    "fasterrcnn_mobilenet_v3_large_320_fpn": config.Experiment(
        data=_SMALL, detector=replace(_MOBILE, rpn=replace(_MOBILE.rpn, infer=_FEW))
    ),
    "maskrcnn_resnet50_fpn": config.Experiment(data=_DATA, detector=replace(_FASTER, masks=True)),
    "maskrcnn_resnet50_fpn_v2": config.Experiment(
        data=_DATA, detector=replace(_FASTER_V2, masks=True, mask=config.MaskConfig(norm="batch"))
    ),
    "keypointrcnn_resnet50_fpn": config.Experiment(
        data=_POSE, detector=replace(_FASTER, keypoints=True, keypoint=config.KeypointConfig(pixel_index=True))
    ),
}
# Of the two files of Keypoint R-CNN, torchvision runs the older one with the usual epsilon.
_POSE_EXPERIMENT = EXPERIMENTS["keypointrcnn_resnet50_fpn"]
EXPERIMENTS["keypointrcnn_resnet50_fpn_legacy"] = replace(
    _POSE_EXPERIMENT, detector=replace(_POSE_EXPERIMENT.detector, backbone=config.BackboneConfig())
)
