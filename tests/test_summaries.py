"""What a person sees of a training and of the evaluations in it."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfrecog.metrics import coco
from tfrecog.training import progress as summaries


def test_an_evaluation_is_said_in_one_line_with_the_ap_of_each_kind_that_was_measured(tmp_path, capsys):
    progress = summaries.Progress(tmp_path, 0, 20, steps_per_epoch=8, batch_size=2, log_steps=5)
    of_boxes = {f"box_{name}": 0.5 for name in coco.NUMBERS}
    of_keypoints = {f"keypoint_{name}": i / 100 for i, name in enumerate(coco.KEYPOINT_NUMBERS, 25)}
    progress.metrics(12, of_boxes | of_keypoints)
    progress.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "evaluated at step 12 (epoch 1.50): box_AP 0.5000  box_AP50 0.5000  box_AP75 0.5000  "
        "keypoint_AP 0.2500  keypoint_AP50 0.2600  keypoint_AP75 0.2700"
    )


def test_a_line_shows_the_accuracy_beside_the_loss_and_names_its_parts_if_there_are_several(tmp_path, capsys):
    progress = summaries.Progress(tmp_path, 0, 2, steps_per_epoch=2, batch_size=4, log_steps=1)
    rest = {"learning_rate": 0.1, "gradient_norm": 2.0}
    progress.steps(1, [{"loss": 1.5, "class_loss": 1.5, "top1": 0.25, **rest}])
    progress.steps(2, [{"loss": 1.5, "a_loss": 1.0, "b_loss": 0.5, **rest}])
    progress.close()
    one, two = capsys.readouterr().out.splitlines()
    assert one.startswith("step 1/2  epoch 0.50  loss 1.5000  top1 0.2500  lr 0.1")
    assert "loss 1.5000 (a_loss 1.0000, b_loss 0.5000)  lr 0.1" in two


def test_pictures_have_the_name_that_they_are_given(tmp_path):
    progress = summaries.Progress(tmp_path, 0, 2, steps_per_epoch=2, batch_size=4, log_steps=1)
    shown = np.random.default_rng(0).integers(0, 255, [7, 5, 3]).astype(np.uint8)
    progress.pictures(2, {"inputs": shown})
    progress.close()
    (event,) = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload().Tensors("inputs")
    np.testing.assert_array_equal(tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]), shown)
    assert event.step == 2
