"""The whole path, from records to AP: a small Mask R-CNN learns four scenes by heart through the real entry point."""

import json

from pipelines import scenes
from tests.runs import train

RECIPE = """
--data.eval_split=train
--data.flip=0
--data.short_side=96
--data.eval_short_side=96
--data.long_side=120
--data.aspect_ratios=1.25
--data.mask_size=56
--detector.backbone.norm=batch
--detector.fpn.norm=batch
--detector.rpn.anchor_sizes=12,24,48
--detector.box.positive_fraction=0.5
--optim.learning_rate=0.04
--schedule.epochs=150
--schedule.warmup_epochs=10
--schedule.drop_epochs=120
--train.evaluate_epochs=1000
--train.checkpoint_epochs=1000
--train.summary_images=0
"""


def test_a_small_mask_rcnn_learns_four_scenes_by_heart(tmp_path):
    scenes.build(str(tmp_path), "train", 4, scenes.Scenes(seed=3), jobs=1)
    train("mask_rcnn", tmp_path, tmp_path / "run", *RECIPE.split())
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]
    assert metrics["box_AP50"] > 0.9 and metrics["mask_AP50"] > 0.8
    # It reaches 0.87 and 0.65. Where y and x change places in the targets, AP50 stays high, for shapes are round and
    # proposals near: but box AP is then 0.37, or mask AP 0.12 (with images of 128 pixels).
    assert metrics["box_AP"] > 0.7 and metrics["mask_AP"] > 0.4
