"""Two workers of one replica train and measure what one process of two replicas does, to the bit."""

import json

import numpy as np
import pytest

from tests.machines.workers import alone, train
from tests.matrices import representatives
from tests.runs import assert_same, weights

SHORT = ("--train.summary_images=0", "--train.log_steps=1")
# Recipe, records, flags. A worker's statistics of batch norm are of its own images, as a replica's are.
CASES = {
    "classifier with batch norm": ("classifier_digits", "digit_records", "--classifier.dropout=0.3"),
    "classifier in parts": ("classifier_digits", "digit_records", "--train.accumulate_steps=2"),
    "classifier, several steps in a call": ("classifier_digits", "digit_records", "--train.steps_per_execution=3"),
    "classifier in float16, averaged": (
        "classifier_digits",
        "digit_records",
        "--train.precision=float16",
        "--optim.ema=0.9",
    ),
    "classifier of AdamW, clipped": ("classifier_digits", "digit_records", "--optim.name=adamw", "--optim.clip_norm=1"),
    "segmenter": ("segmenter", "map_records", "--data.photometric=1"),
    "segmenter of synchronised batch norm, in parts and evaluated between": (
        "segmenter",
        "map_records",
        "--segmenter.backbone.norm=sync_batch",
        "--train.accumulate_steps=2",
        "--train.evaluate_epochs=0.5",
    ),
    "Faster R-CNN": ("faster_rcnn", "scene_records"),
    "Faster R-CNN with batch norm": ("faster_rcnn", "scene_records", "--detector.backbone.norm=batch"),
    "Faster R-CNN of AdamW, in parts": (
        "faster_rcnn",
        "scene_records",
        "--optim.name=adamw",
        "--train.accumulate_steps=2",
    ),
    "Mask R-CNN": ("mask_rcnn", "scene_records", "--metrics=both"),
    "Keypoint R-CNN": ("keypoint_rcnn", "scene_records", "--data.min_keypoints=1"),
}


def files_of(workdir):
    """What an evaluation has left, but for times and places."""
    found = {name: (workdir / name).read_bytes() for name in ("detections.json", "predictions.csv", "confusion.csv")
             if (workdir / name).is_file()}  # fmt: skip
    report = json.loads((workdir / "metrics.json").read_text())
    return found | {name: report[name] for name in report if name not in ("test_seconds_per_image", "checkpoint")}


@pytest.mark.parametrize("case", representatives(CASES, "classifier with batch norm"))
def test_two_workers_are_one_process_of_two_replicas(case, tmp_path, request):
    recipe, records, *flags = CASES[case]
    folder = request.getfixturevalue(records)
    _, second = train(recipe, folder, tmp_path / "two", *SHORT, *flags)
    alone(recipe, folder, tmp_path / "one", *SHORT, *flags)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert len(one) > 10 and any(np.any(value) for name, value in one.items() if name.startswith("mo"))
    assert_same(two, one)
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")
    assert "step" not in second  # The chief alone shows how far it is.


@pytest.mark.long
def test_three_workers_are_one_process_but_for_the_order_of_sums(digit_records, tmp_path):
    flags = *SHORT, "--data.batch_size=12", "--schedule.epochs=0.5", "--train.evaluate_epochs=0"
    train("classifier_digits", digit_records, tmp_path / "three", *flags, count=3)
    alone("classifier_digits", digit_records, tmp_path / "one", *flags, replicas=3)
    one, three = weights(tmp_path / "one"), weights(tmp_path / "three")
    for name, value in one.items():
        np.testing.assert_allclose(three[name], value, rtol=0, atol=1e-6 * np.abs(value).max(), err_msg=name)


@pytest.mark.long
def test_another_number_of_workers_continues_a_run(digit_records, tmp_path):
    # Group norm, for the statistics of a batch would be those of fewer images.
    flags = *SHORT, "--classifier.norm=group", "--train.evaluate_epochs=0"
    train("classifier_digits", digit_records, tmp_path / "run", *flags, "--schedule.epochs=1")
    alone("classifier_digits", digit_records, tmp_path / "run", *flags, replicas=1)
    train("classifier_digits", digit_records, tmp_path / "straight", *flags)
    one, two = weights(tmp_path / "run"), weights(tmp_path / "straight")
    assert one["step"] == two["step"] == 8
    for name, value in two.items():
        np.testing.assert_allclose(one[name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)
