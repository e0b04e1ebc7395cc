"""A report in a headless Chromium, as wide as a telephone and as a desk."""

import dataclasses
import itertools

import pytest

from tests import browser, datasets, gray_maps
from tests import test_evaluate as scenes
from tests import test_evaluate_classifier as grays
from tests.reports.test_detection_report import written
from tfrecog.config import DataConfig, DetectorConfig, Experiment
from tfrecog.data import info
from tfrecog.evaluations import segmentation
from tfrecog.reports import report
from tfrecog.runtime import distribution

pytest.importorskip("websockets", reason="websockets, of the server's extra, is not installed")
pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")

TELEPHONE, DESK = 400, 1400


LONG = [f"{'verylongname' * 6}{i}" for i in range(30)]  # Names that have no place to break.


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The paths of the reports of a detector, of many classes, of a classifier and of a segmenter."""
    folders = [tmp_path_factory.mktemp("records") for _ in range(3)]
    named = [info.Category(name, i) for i, name in enumerate(LONG)]
    longest = [dataclasses.replace(one, filename="x" * 200 + one.filename) for one in scenes.SCENES]
    datasets.write(folders[0], [longest], named, masks=True)
    written(folders[0], folders[0] / "out", scenes.Oracle(noise=4.0), DetectorConfig(masks=True))
    grays.write_records(folders[1], categories=named[: len(grays.NAMES)])
    grays.evaluated(folders[1], folders[1] / "out")
    gray_maps.write(folders[2], gray_maps.maps(), named[: len(gray_maps.NAMES)])
    data = DataConfig(records=str(folders[2]), eval_batch_size=2, eval_short_side=0)
    experiment = Experiment(task="segmentation", data=data)
    segmentation.evaluate(gray_maps.Gray(), None, experiment, distribution.strategy(1), folders[2] / "out")
    return [folder / "out" / report.FILE for folder in folders]


def test_they_fit_a_telephone_and_a_desk_and_nothing_is_said_on_the_console(reports):
    with browser.browser() as tab:
        for domain in ("Log", "Runtime", "Page"):
            tab.call(f"{domain}.enable")
        grounds = set()
        for path, width, scheme in itertools.product(reports, (TELEPHONE, DESK), ("light", "dark")):
            tab.resize(width, prefers_color_scheme=scheme)
            tab.open(f"file://{path}")
            tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
            sides = tab.value("['scrollWidth', 'clientWidth'].map(side => document.documentElement[side])")
            assert sides[0] == sides[1] <= width, (path, width)
            assert tab.value("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
            assert tab.value("document.images.length") > 0
            # The style sheet has passed the policy: without it the ground is transparent.
            grounds.add(tab.value("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2 and "rgba(0, 0, 0, 0)" not in grounds
        said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        assert not [event for event in tab.events if event.get("method") in said]
