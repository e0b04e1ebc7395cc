"""A report in a headless Chromium, as wide as a telephone and as a desk."""

import dataclasses

import pytest

from tests import browser, datasets
from tests import test_evaluate as scenes
from tests.reports.test_detection_report import written
from tfrecog.config import DetectorConfig
from tfrecog.data import info

pytest.importorskip("websockets", reason="websockets, of the server's extra, is not installed")
pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed")

TELEPHONE, DESK = 400, 1400


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The path of a report with names that have no place to break, and with those of many classes."""
    folder = tmp_path_factory.mktemp("records")
    named = [info.Category(f"{'verylongname' * 6}{i}", i) for i in range(1, 31)]
    longest = [dataclasses.replace(one, filename="x" * 200 + one.filename) for one in scenes.SCENES]
    datasets.write(folder, [longest], named, masks=True)
    _, numbers = written(folder, folder / "out", scenes.Oracle(noise=4.0), DetectorConfig(masks=True))
    return numbers.report


def test_it_fits_a_telephone_and_a_desk_and_nothing_is_said_on_the_console(page):
    with browser.browser() as tab:
        for domain in ("Log", "Runtime", "Page"):
            tab.call(f"{domain}.enable")
        grounds = set()
        for width in (TELEPHONE, DESK):
            for scheme in ("light", "dark"):
                tab.resize(width, prefers_color_scheme=scheme)
                tab.open(f"file://{page}")
                tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
                assert tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0, (
                    width
                )
                assert tab.value("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
                assert tab.value("document.querySelectorAll('path.line').length") > 0
                # The style sheet has passed the policy: without it the ground is transparent.
                grounds.add(tab.value("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2 and "rgba(0, 0, 0, 0)" not in grounds
        said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        assert not [event for event in tab.events if event.get("method") in said]
