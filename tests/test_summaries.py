"""What a person sees of an evaluation during training."""

from tfrecog import summaries
from tfrecog.metrics import coco


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
