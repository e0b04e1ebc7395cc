"""What a person sees of a training and of the evaluations in it."""

import csv
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.metrics import coco
from tfrecog.training import metrics_csv
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


def test_a_graph_that_is_built_is_announced_and_its_time_told(tmp_path, capsys):
    progress = summaries.Progress(tmp_path, 0, 9, steps_per_epoch=2, batch_size=4, log_steps=5)
    terms = [{"loss": 1.5, "learning_rate": 0.1}]
    for done, size in ((1, (64, 96)), (2, (96, 64))):
        progress.compiling({"image": np.zeros([2, *size, 3])})
        progress.steps(done, terms, timed=False)
    progress.steps(3, terms)
    progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling the training step; the first one takes about a minute"
    assert lines[1].startswith("compiled, and step 1 taken, in ") and lines[1].endswith(" s")
    assert lines[2] == "compiling the training step for images of 96 x 64" and len(lines) == 4


def test_tensorboard_has_the_flags_and_those_that_differ_as_hparams(tmp_path):
    experiment = flags.change(
        Experiment(), ["--optim.name=adamw", "--optim.learning_rate=0.03", f"--workdir={tmp_path}"]
    )
    progress = summaries.Progress(tmp_path, 0, 2, steps_per_epoch=2, batch_size=4, log_steps=1)
    progress.settings(0, experiment)
    progress.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Tensors("flags")
    assert "--optim.learning_rate=0.03\n" in tf.make_ndarray(event.tensor_proto).item().decode()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    values = {name: value.string_value or value.number_value for name, value in started.hparams.items()}
    assert values == {"optim.name": "adamw", "optim.learning_rate": 0.03}


def rows(folder):
    with open(folder / metrics_csv.FILE, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_for_each_step_with_its_losses_and_metrics(tmp_path):
    progress = summaries.Progress(tmp_path, 0, 4, steps_per_epoch=2, batch_size=4, log_steps=2)
    for step in range(1, 5):
        progress.steps(step, [{"loss": float(step), "learning_rate": 0.1}])
    progress.metrics(4, {"box_AP": 0.25, "kind": "a text"})
    progress.close()
    two, four = rows(tmp_path)
    assert two == {
        "step": "2", "epoch": "1", "training/loss": "1.5", "training/learning_rate": "0.1", "evaluation/box_AP": ""
    }  # fmt: skip
    assert (four["step"], four["training/loss"], four["evaluation/box_AP"]) == ("4", "3.5", "0.25")


@pytest.mark.parametrize("end", ["", "300", "300,", "300,0.5", "20", "\0\xff", "x,1,2\n"])
def test_a_run_that_was_killed_goes_on_without_a_row_twice_or_half(tmp_path, end):
    table = metrics_csv.Table(tmp_path, 0)
    for step in (100, 200, 250):
        table.add(step, {"loss": step / 100, "rate": 0.1})
    with open(tmp_path / metrics_csv.FILE, "a") as file:
        file.write(end)
    table = metrics_csv.Table(tmp_path, 200)
    assert [row["step"] for row in rows(tmp_path)] == ["100", "200"]
    table.add(250, {"loss": 7.0, "rate": 0.1})
    table.add(250, {"AP": 0.5})
    table.add(300, {"loss": 8.0})
    table.add(300, {"AP": 0.75})
    assert [tuple(row.values()) for row in rows(tmp_path)[1:]] == [
        ("200", "2", "0.1", ""), ("250", "7", "0.1", "0.5"), ("300", "8", "", "0.75")
    ]  # fmt: skip
    metrics_csv.Table(tmp_path, 0)
    assert rows(tmp_path) == []


def test_a_row_that_cannot_be_written_ends_no_training_and_is_written_with_the_next(tmp_path, caplog):
    table = metrics_csv.Table(tmp_path / "run", 0)
    table.add(1, {"loss": 0.5})
    shutil.rmtree(tmp_path / "run")
    table.add(2, {"loss": 0.25})
    assert "step 2 is not written yet, the training goes on" in caplog.text
    table.add(3, {"loss": 0.125})
    assert [row["step"] for row in rows(tmp_path / "run")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\ufeffstep,loss\r\n1,0.5\r\n", 2),
        ("\ufeffstep;loss\r\n1;0,5\r\n", 1),
        pytest.param(f"step,loss\n1,{'9' * 200_000}\n", 1, id="a cell of 200 kB"),
        pytest.param(f"step,loss\n1,0.5\n{'9' * 5000},0.5\n", 2, id="a step of 5000 digits"),
    ],
)
def test_a_table_that_a_spreadsheet_has_saved_is_not_lost(tmp_path, text, kept):
    (tmp_path / metrics_csv.FILE).write_bytes(text.encode())
    limit = csv.field_size_limit(2**17)  # Python's own, which pipelines raise.
    try:
        metrics_csv.Table(tmp_path, 1).add(2, {"loss": 0.25})
    finally:
        csv.field_size_limit(limit)
    assert len(rows(tmp_path)) == kept and rows(tmp_path)[-1] == {"step": "2", "loss": "0.25"}
    assert [path.read_bytes() for path in tmp_path.glob("metrics-*.csv")] == [text.encode()] * (kept == 1)


def no_room(*_):
    raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")


@pytest.mark.parametrize(
    "broken", [(tf.summary, "create_file_writer"), (tf.summary, "scalar"), (tf.compat.v1.summary, "FileWriter")]
)
def test_a_full_disk_at_tensorboards_file_ends_no_training(tmp_path, caplog, monkeypatch, broken):
    """One warning; what comes when there is room again is there, and so are all rows of metrics.csv."""
    with monkeypatch.context() as patch:
        patch.setattr(*broken, no_room)
        progress = summaries.Progress(tmp_path, 0, 4, steps_per_epoch=2, batch_size=4, log_steps=1)
        progress.steps(1, [{"loss": 1.0, "learning_rate": 0.1}])
        progress.steps(2, [{"loss": 2.0, "learning_rate": 0.1}])
    progress.steps(3, [{"loss": 3.0, "learning_rate": 0.1}])
    progress.close()
    (warning,) = caplog.messages
    assert "cannot be written, the training goes on without it" in warning and "No space left on device" in warning
    assert [row["training/loss"] for row in rows(tmp_path)] == ["1", "2", "3"]
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload().Tensors("training/loss")
    assert [event.step for event in events] == ([1, 2, 3] if broken[1] == "FileWriter" else [3])


@pytest.mark.parametrize("count", [1, 3])
def test_predictions_are_also_in_a_file_that_a_line_names(tmp_path, capsys, count):
    progress = summaries.Progress(tmp_path, 0, 2, steps_per_epoch=2, batch_size=4, log_steps=1)
    seen = {f"predictions/{i}": np.full([30, 40, 3], 200, np.uint8) for i in range(count)}
    progress.predictions(2, seen | {"errors": np.zeros([900, 900, 3], np.uint8)})
    progress.close()
    path = tmp_path / "predictions" / "step-00000002.jpg"
    assert str(path) in capsys.readouterr().out
    width, height = Image.open(path).size
    assert (width >= 2 * 40) == (count > 1) and height < 900, "side by side, and nothing but predictions"
    assert {"predictions/0", "errors"} <= set(EventAccumulator(str(tmp_path)).Reload().Tags()["tensors"])
