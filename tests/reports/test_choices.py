from tfrecog.fitting.plan import Choice, Plan
from tfrecog.reports import choices

PLAN = Plan(
    (
        Choice("image size", {"data.short_side": (320,), "detector.masks": True}, "the smallest class needs it"),
        Choice("given", {"optim.learning_rate": 0.001}, "", given=True),
    ),
    {}, {}, 20.0, 300, {"time": "20 minutes"},
)  # fmt: skip


def test_a_fits_choices_are_rows_of_what_why_and_flags(tmp_path):
    PLAN.save(tmp_path)
    section = choices.section(tmp_path)
    words, table = section.blocks
    assert "for 20 minutes: 20 minutes." in words.text
    assert table.rows == [
        ["image size", "the smallest class needs it", "--data.short_side=320 --detector.masks=true"],
        ["given", "as given", "--optim.learning_rate=0.001"],
    ]


def test_a_run_that_no_fit_has_made_has_none(tmp_path):
    assert choices.section(tmp_path) is None and choices.section("") is None
