"""Settings that nothing would read, and values of a classifier's training that cannot be."""

from dataclasses import replace
from functools import reduce

import pytest

from tfrecog.cli import flags, validate
from tfrecog.config import Experiment


def experiment_of(**settings):
    """An experiment with flags set, in which __ stands for a dot."""

    def change(config, path, value):
        head, _, rest = path.partition(".")
        return replace(config, **{head: change(getattr(config, head), rest, value) if rest else value})

    return reduce(lambda config, one: change(config, one[0].replace("__", "."), one[1]), settings.items(), Experiment())


CLASSIFIER = {"task": "classification"}
ALEXNET = CLASSIFIER | {"classifier__name": "alexnet"}
WHOLE = CLASSIFIER | {"augment__crop": "whole"}
FCN, FCN16S = {"task": "segmentation"}, {"segmenter__name": "fcn16s"}
ON_RESNET = {"segmenter__backbone__name": "resnet18", "segmenter__padding": 0}

RECORD, SINGLE = {"detector__proposals": "record"}, {"detector__neck": "single"}
PYRAMID, POOL = SINGLE | {"detector__pool": "pyramid"}, SINGLE | {"detector__pool": "roi_pool"}
WARP = RECORD | {"detector__pool": "warp", "detector__box__size": 64}
VGG = SINGLE | {"detector__backbone__name": "vgg16"}
C4 = {"detector__neck": "c4"}

# What is set, the flag that is then read by nothing, and a change with which it is read.
UNREAD = [
    ({"data__max_proposals": 500}, "data.max_proposals", RECORD),
    (RECORD | {"detector__rpn__train__total": 300}, "detector.rpn.train.total", {"detector__proposals": "rpn"}),
    (SINGLE | {"detector__fpn__channels": 64}, "detector.fpn.channels", {"detector__neck": "fpn"}),
    (WARP | {"detector__fpn__norm": "batch"}, "detector.fpn.norm", {"detector__pool": "roi_align"}),
    (WARP | {"detector__neck": "c4"}, "detector.neck", {"detector__pool": "roi_align"}),
    ({"detector__level": 5}, "detector.level", SINGLE),
    (POOL | {"detector__pyramid": (1, 2)}, "detector.pyramid", PYRAMID),
    (PYRAMID | {"detector__box__size": 6}, "detector.box.size", POOL),
    (PYRAMID | {"detector__box__pool_samples": 1}, "detector.box.pool_samples", {"detector__pool": "roi_align"}),
    (WARP | {"detector__aligned": True}, "detector.aligned", {"detector__pool": "roi_align"}),
    ({"detector__box__context": 5}, "detector.box.context", WARP),
    (C4 | {"detector__box__dropout": 0.5}, "detector.box.dropout", SINGLE),
    (
        SINGLE | {"detector__box__layers": 0, "detector__box__dropout": 0.5},
        "detector.box.dropout",
        {"detector__box__layers": 1},
    ),
    (VGG | {"detector__backbone__norm": "group"}, "detector.backbone.norm", {"detector__backbone__name": "resnet50"}),
    ({"classifier__dropout": 0.5}, "classifier.dropout", ALEXNET),
    ({"augment__mixup": 0.2}, "augment.mixup", CLASSIFIER),
    (CLASSIFIER | {"detector__masks": True}, "detector.masks", {"task": "detection"}),
    (CLASSIFIER | {"detector__rpn__nms_iou": 0.5}, "detector.rpn.nms_iou", {"task": "detection"}),
    (CLASSIFIER | {"data__photometric": 1.0}, "data.photometric", {"task": "detection"}),
    (CLASSIFIER | {"data__short_side": (256, 480)}, "data.short_side", {"augment__crop": "scale"}),
    (ALEXNET | {"classifier__zero_gamma": True}, "classifier.zero_gamma", {"classifier__name": "resnet18"}),
    (CLASSIFIER | {"classifier__dropout": 0.5}, "classifier.dropout", {"classifier__name": "vgg16"}),
    (ALEXNET | {"classifier__norm": "group"}, "classifier.norm", {"classifier__name": "vgg16_bn"}),
    (WHOLE | {"augment__area": (0.5, 1.0)}, "augment.area", {"augment__crop": "inception"}),
    (CLASSIFIER | {"augment__magnitude": 5.0}, "augment.magnitude", {"augment__layers": 2}),
    (FCN | {"segmenter__upsampling": "learned", "segmenter__name": "fcn32s"}, "segmenter.upsampling", FCN16S),
    (FCN | {"segmenter__backbone__norm": "group"}, "segmenter.backbone.norm", ON_RESNET),
    ({"optim__beta2": 0.95}, "optim.beta2", {"optim__name": "adamw"}),
    ({"optim__trust": 0.01}, "optim.trust", {"optim__name": "lars"}),
    ({"optim__name": "lamb", "optim__nesterov": True}, "optim.nesterov", {"optim__name": "sgd"}),
    (
        {"schedule__warmup_from": "base", "schedule__warmup_factor": 0.1},
        "schedule.warmup_factor",
        {"schedule__warmup_from": "factor"},
    ),
]


@pytest.mark.parametrize("settings, flag, change", UNREAD, ids=[flag for _, flag, _ in UNREAD])
def test_a_setting_that_nothing_reads_is_refused_where_nothing_does(settings, flag, change):
    with pytest.raises(ValueError, match=rf"--{flag}=.*leave it at") as raised:
        validate.check(experiment_of(**settings))
    assert len(str(raised.value).splitlines()) == 1, "nothing else is wrong"
    validate.check(experiment_of(**settings | change))
    default = {leaf.path: leaf.value for leaf in flags.leaves(Experiment())}[flag]
    validate.check(experiment_of(**settings | {flag.replace(".", "__"): default}))


@pytest.mark.parametrize(
    "choice",
    [{"warmup": "none"}, {"warmup": "constant"}, {"shape": "cosine"}, {"shape": "constant"}],
    ids=str,
)
def test_schedules_are_compared_by_one_flag(choice):
    recipe = {"schedule__warmup_epochs": 5.0, "schedule__drop_epochs": (30.0, 60.0), "schedule__warmup_from": "base"}
    validate.check(experiment_of(**recipe | {f"schedule__{name}": value for name, value in choice.items()}))


WRONG = [
    (VGG | {"detector__neck": "fpn"}, "detector.backbone.name=vgg16: .*neck=single"),
    (VGG | {"detector__level": 5}, "detector.level=5: vgg16 .* level 4"),
    (SINGLE | {"detector__level": 3}, "detector.level=3: "),
    (SINGLE | {"detector__backbone__name": "mobilenet_v3_large"}, "detector.backbone.name=.*take one of Keras'"),
    (WARP | {"detector__proposals": "rpn"}, "detector.pool=warp: .*add --detector.proposals=record"),
    (WARP | {"detector__masks": True}, "detector.masks=True: .*choose roi_align"),
    (PYRAMID | {"detector__keypoints": True}, "detector.keypoints=True: .*choose roi_align"),
    (PYRAMID | {"detector__neck": "c4"}, "detector.pool=pyramid: res5"),
    (PYRAMID | {"detector__box__convs": 2}, "detector.box.convs=2: "),
    (WARP | {"detector__box__size": 7}, "detector.box.size=7: .*needs 32"),
    (WARP | {"detector__box__context": 32}, "detector.box.context=32: leaves nothing"),
    (SINGLE | {"detector__box__svd": (8,)}, "detector.box.svd=8: needs a number for each of --detector.box.layers=2"),
    (SINGLE | {"detector__box__negative_iou": 0.5}, "detector.box.negative_iou=0.5: must be less"),
    (VGG | {"detector__backbone__frozen_stages": 6}, "detector.backbone.frozen_stages=6: there are 5, conv1"),
    (CLASSIFIER | {"augment__area": (0.0, 1.0)}, "augment.area=0.0,1.0: must be more than 0"),
    (CLASSIFIER | {"augment__area": (0.5, 0.1)}, "augment.area=0.5,0.1: the smaller"),
    (CLASSIFIER | {"augment__aspect": (1.0,)}, "augment.aspect=1.0: needs 2"),
    (CLASSIFIER | {"augment__jitter": (0.4, 0.4)}, "augment.jitter=0.4,0.4: needs 3"),
    (CLASSIFIER | {"augment__layers": 1, "augment__magnitude": 31.0}, "augment.magnitude=31.0: must not exceed 30"),
    (CLASSIFIER | {"augment__shift": 224}, "augment.shift=224: must be less than"),
    (CLASSIFIER | {"augment__crop": "scale", "data__short_side": (200, 480)}, "data.short_side=200,480: must not be"),
    (CLASSIFIER | {"classifier__label_smoothing": 1.0}, "classifier.label_smoothing=1.0: must be at least 0 and less"),
    (ALEXNET | {"classifier__dropout": 1.0}, "classifier.dropout=1.0: must be at least 0 and less"),
    (CLASSIFIER | {"classifier__name": "lenet5", "classifier__crop": 11}, "classifier.crop=11: lenet5 needs at least"),
    ({"optim__ema": 1.0}, "optim.ema=1.0: must be"),
    ({"train__accumulation": 0}, "train.accumulation=0: must be more than 0"),
    ({"train__accumulation": 3}, "train.accumulation=3: does not divide --data.batch_size=16"),
    ({"train__steps_per_call": 0}, "train.steps_per_call=0: must be more than 0"),
    ({"train__profile_steps": (10,)}, "train.profile_steps=10: needs the first and the last step"),
    ({"train__profile_steps": (15, 10)}, "train.profile_steps=15,10: needs"),
    ({"train__jit_compile": True}, "train.jit_compile=True: XLA"),
]


@pytest.mark.parametrize("settings, message", WRONG, ids=[message for _, message in WRONG])
def test_a_value_that_cannot_be_is_named_with_what_it_needs(settings, message):
    with pytest.raises(ValueError, match=f"--{message}"):
        validate.check(experiment_of(**settings))


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"segmenter__padding": 80}, "segmenter.padding"),
        ({"segmenter__fc_size": 6}, "segmenter.fc_size"),
        ({"segmenter__backbone__name": "resnet18"}, "segmenter.padding"),
        ({"segmenter__name": "fcn_dilated"}, "segmenter.backbone.name"),
        ({"segmenter__backbone__name": "keras_vgg16"}, "segmenter.backbone.name"),
    ],
)
def test_a_network_that_would_not_cover_an_image_is_refused(settings, flag):
    validate.check(experiment_of(**FCN))
    with pytest.raises(ValueError, match=f"--{flag}="):
        validate.check(experiment_of(**FCN, **settings))


@pytest.mark.parametrize(
    "settings",
    [
        VGG,
        VGG | RECORD | {"detector__pool": "pyramid"},
        WARP | {"detector__backbone__name": "alexnet"},
        PYRAMID | RECORD,
    ],
    ids=["Faster R-CNN", "SPP-net", "R-CNN", "SPP-net on a ResNet"],
)
def test_the_family_as_published_is_not_refused(settings):
    validate.check(experiment_of(**settings))
