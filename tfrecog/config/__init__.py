"""Every setting of an experiment, a flag each: default (the papers' value), meaning, range, and who reads it."""

# ruff: noqa: F401  These are the names that others import.
from tfrecog.config.backbone import KERAS_NETWORKS, SINGLE_MAP, BackboneConfig
from tfrecog.config.classifier import LENETS, SMALLEST_CROP, ClassifierConfig
from tfrecog.config.data import STRIDE, AugmentConfig, DataConfig
from tfrecog.config.detector.box import BoxConfig
from tfrecog.config.detector.family import DetectorConfig
from tfrecog.config.detector.fpn import FpnConfig
from tfrecog.config.detector.keypoint import KeypointConfig
from tfrecog.config.detector.mask import MaskConfig
from tfrecog.config.detector.output import OutputConfig
from tfrecog.config.detector.rpn import ProposalConfig, RpnConfig
from tfrecog.config.experiment import Experiment, plain
from tfrecog.config.segmenter import SegmenterConfig
from tfrecog.config.training import OptimConfig, ScheduleConfig, TrainConfig
