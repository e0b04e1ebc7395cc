"""The curves of a training and their geometry."""

import re
from pathlib import Path

import numpy as np
import pytest

from tfrecog.reports import curves
from tfrecog.reports.charts import BOTTOM, LEFT, MOST_LINES, MOST_POINTS, RIGHT, TOP, Chart, Line

ROWS = (
    "step,training/loss,training/box_loss,training/mask_loss,training/learning_rate,training/gradient_norm,"
    "evaluation/box_AP\n"
    "20,2,1.5,0.5,0.1,3,\n"
    "40,1,0.5,0.5,0.05,nan,0.25\n"
)


def lines_of(section):
    """Points by title of a chart and name of a line."""
    (charts,) = [block for block in section.blocks if block.kind == "charts"]
    return {(chart.title, line.name): line.points.tolist() for chart in charts.charts for line in chart.lines}


def test_each_column_of_metrics_csv_is_a_line(tmp_path):
    (tmp_path / curves.TABLE).write_text(ROWS)
    assert lines_of(curves.section(tmp_path, None, {})) == {
        ("Losses in training", "loss"): [[20, 2], [40, 1]],
        ("Losses in training", "box_loss"): [[20, 1.5], [40, 0.5]],
        ("Losses in training", "mask_loss"): [[20, 0.5], [40, 0.5]],
        ("Learning rate", "learning_rate"): [[20, 0.1], [40, 0.05]],
        ("Norm of the gradient", "gradient_norm"): [[20, 3]],
        ("Metrics", "box_AP"): [[40, 0.25]],
    }


@pytest.mark.parametrize(
    "step, points",
    [
        (60, [[40, 0.25], [60, 0.5]]),
        (20, [[20, 0.5], [40, 0.25]]),
        (30, [[30, 0.5], [40, 0.25]]),
        (40, [[40, 0.25]]),
        (None, [[40, 0.25]]),
    ],
)
def test_an_evaluation_joins_the_others_in_its_place(tmp_path, step, points):
    (tmp_path / curves.TABLE).write_text(ROWS)
    assert lines_of(curves.section(tmp_path, step, {"box_AP": 0.5}))["Metrics", "box_AP"] == points


@pytest.mark.parametrize("text", [None, "", "step;loss\n1;2\n", "no table\x00 at all\n", "step,training/loss\n"])
def test_without_rows_it_says_so(tmp_path, text):
    if text is not None:
        (tmp_path / curves.TABLE).write_text(text)
    (words,) = curves.section(tmp_path, 1, {"box_AP": 0.5}).blocks
    assert words.text.startswith("Not measured: ")


def test_every_loss_of_boxes_masks_and_keypoints_together_is_drawn(tmp_path):
    terms = ("objectness", "rpn_box", "class", "box", "mask", "keypoint")
    names = ["loss", *(f"{term}_loss" for term in terms)]
    row = ",".join(str(i + 1) for i in range(len(names)))
    (tmp_path / curves.TABLE).write_text(f"step,{','.join(f'training/{name}' for name in names)}\n20,{row}\n")
    assert [name for _, name in lines_of(curves.section(tmp_path, None, {}))] == names
    style = (Path(curves.__file__).parent / "page.css").read_text()
    assert [style.count(f"--line{i}: #") for i in range(MOST_LINES + 1)] == [2] * MOST_LINES + [0], "light and dark"
    assert all(f".line{i} {{ stroke: var(--line{i});" in style for i in range(MOST_LINES))


def test_rows_of_a_file_out_of_order_are_drawn_in_the_order_of_their_steps(tmp_path):
    (tmp_path / curves.TABLE).write_text("step,training/loss\n40,1\n20,2\n")
    assert lines_of(curves.section(tmp_path, None, {}))["Losses in training", "loss"] == [[20, 2], [40, 1]]


@pytest.mark.parametrize("rate", [2e-4, 1.5e-4, 2.5e-4, 6e-5, 0.02, 3e-9])
def test_a_tick_says_the_number_at_its_place(rate):
    chart = Chart("", "step", "", [Line("rate", [0, 1], [0, rate])])
    top = 1.05 * rate
    for place, text in chart.y_ticks:
        assert float(text) == pytest.approx(top * (BOTTOM - place) / (BOTTOM - TOP), abs=0.001 * top), text


def corners(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([-.\d]+) ([-.\d]+)", path)]


def test_a_line_goes_from_corner_to_corner_of_its_axes():
    chart = Chart("", "x", "y", [Line("rises", [0, 5, 10], [0, 2, 4])], y_range=(0, 4))
    middle = (LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2
    assert corners(chart.paths[0]) == [(LEFT, BOTTOM), middle, (RIGHT, TOP)]
    assert chart.x_ticks[0] == (LEFT, "0") and chart.y_ticks[-1] == (TOP, "4")


def test_on_a_logarithmic_axis_equal_factors_are_equally_far():
    chart = Chart("", "x", "y", [Line("falls", [0, 1, 2], [100, 10, 1])], log=True)
    assert chart.logarithmic
    (_, one), (_, two), (_, three) = corners(chart.paths[0])
    assert two - one == pytest.approx(three - two, abs=0.1) and [one, three] == [TOP, BOTTOM]
    assert [text for _, text in chart.y_ticks] == ["1", "10", "100"]
    steep = Chart("", "x", "y", [Line("falls", [0, 1], [1, 1e-9])], log=True)
    assert [text for _, text in steep.y_ticks] == ["1e-9", "1e-7", "1e-5", "0.001", "0.1"]
    assert not Chart("", "x", "y", [Line("near", [0, 1], [1, 2])], log=True).logarithmic
    assert not Chart("", "x", "y", [Line("zero", [0, 1], [100, 0])], log=True).logarithmic


def test_the_words_of_a_long_run_have_its_last_number_and_not_a_mean():
    y = np.r_[np.ones(999), 7, np.nan]
    chart = Chart("Losses", "step", "", [Line("loss", np.arange(1001), y)])
    assert len(chart.lines[0].points) == MOST_POINTS
    assert chart.description == "Losses, over step: loss ends at 7"


def test_a_long_run_is_thinned_by_means_and_keeps_its_place():
    x = np.arange(100_000.0)
    points = Line("long", x, 2 * x).points
    assert len(points) == MOST_POINTS
    np.testing.assert_allclose(points[:, 1], 2 * points[:, 0])
    assert points.mean(axis=0) == pytest.approx([x.mean(), 2 * x.mean()], rel=1e-3)


def test_numbers_that_are_none_break_no_chart():
    chart = Chart("", "x", "y", [Line("a", [1, 2, 3], [np.nan, np.inf, 5.0]), Line("empty", [], [])])
    assert len(corners(chart.paths[0])) == 1 and "H" in chart.paths[0] and chart.paths[1] == "", "a dash, and nothing"
    assert "nan" not in str([chart.paths, chart.x_ticks, chart.y_ticks]) and not chart.empty
