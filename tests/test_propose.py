"""Proposals of an RPN on their way from its outputs into a file and into records."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import proposals as pipeline
from pipelines import scenes
from tfrecog import propose, tasks
from tfrecog.cli.errors import UserError
from tfrecog.config import (
    BackboneConfig,
    BoxConfig,
    DataConfig,
    DetectorConfig,
    Experiment,
    FpnConfig,
    ProposalConfig,
    RpnConfig,
)
from tfrecog.data import detection, info
from tfrecog.data.split import Split
from tfrecog.inference import rpn_proposals
from tfrecog.proposals import methods


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    scenes.build(str(folder), "val", 3, scenes.Scenes(height=64, width=80, max_objects=2), jobs=1)
    detector = DetectorConfig(
        backbone=BackboneConfig(name="resnet18", width=4, norm="group", frozen_stages=0), fpn=FpnConfig(channels=8),
        rpn=RpnConfig(infer=ProposalConfig(20, 15)), box=BoxConfig(hidden_units=8),
    )  # fmt: skip
    data = DataConfig(records=str(folder), eval_short_side=96, long_side=160, eval_batch_size=2)
    experiment = Experiment(data=data, detector=detector)
    model = tasks.build(experiment, info.load(folder)).build()
    out = folder / "p.npz"
    counts = rpn_proposals.propose(model, experiment, tf.distribute.OneDeviceStrategy("CPU:0"), out, "RPN of a test")
    return experiment, model, out, counts


def test_proposals_are_in_the_pixels_of_the_images_with_falling_scores(run):
    experiment, model, out, counts = run
    found, source = methods.load(out)
    assert list(found) == ["1", "2", "3"] and source == "RPN of a test"
    assert counts == [len(one.boxes) for one in found.values()] and max(counts) == 15
    with np.load(out) as file:
        scores, sizes = file["scores"], file["sizes"]
    assert np.all((scores > 0) & (scores < 1)) and np.all(np.diff(scores[: counts[0]]) <= 0)
    assert sizes.tolist() == [[64, 80]] * 3
    for one in found.values():
        assert np.all(one.boxes >= 0) and np.all(one.boxes <= [64, 80, 64, 80])
    # As the detector's own second stage gets them, in the resized image (1.5 times as large).
    (batch,) = detection.evaluation(experiment.data, Split.open(out.parent, "val"), 4).take(1)
    features = model.extract(batch["image"], batch["size"])
    (rois, _, _), _ = model.propose(features, batch["image"], batch["size"], experiment.detector.rpn.infer)
    np.testing.assert_allclose(found["1"].boxes, rois[0, : counts[0]] / 1.5, atol=0.02)


def test_its_file_goes_into_records(run, tmp_path):
    _, _, out, counts = run
    pipeline.build(
        pipeline.Proposals(data=str(out.parent), split="val", out=str(tmp_path), method="file", file=str(out), jobs=1)
    )
    split = Split.open(tmp_path, "val")
    kept = [split.record(row).proposals for row in range(3)]
    assert [len(boxes) for boxes in kept] == counts
    assert info.load(tmp_path).proposals == "file p.npz: RPN of a test"


def test_a_run_without_an_rpn_is_an_error():
    with pytest.raises(UserError, match=r"the run has no RPN"):
        propose.main(propose.Flags(out="p.npz", detector=DetectorConfig(proposals="record")))
