"""Two libraries that learn the same: the rules reach both sides, and runs are kept and compared by arithmetic."""

import dataclasses
import json
import re

import numpy as np
import pytest

from benchmarks.learning_parity import ours, results, runs
from benchmarks.learning_parity.rules import Rules
from tests.folders import REPOSITORY

RULES = Rules(classes=2, images=10)
OF_RECORDS = {"classes", "images"}


def doubled(value):
    return [2 * each for each in value] if isinstance(value, tuple) else 2 * value


@pytest.mark.parametrize("rule", sorted({field.name for field in dataclasses.fields(Rules)} - OF_RECORDS))
def test_each_rule_is_one_of_our_experiment(rule):
    changed = dataclasses.replace(RULES, **{rule: doubled(getattr(RULES, rule))})
    assert ours.experiment(changed, "records", 0) != ours.experiment(RULES, "records", 0)


def test_each_rule_is_read_by_the_peer():
    read = set(re.findall(r"rules\.(\w+)", (REPOSITORY / "benchmarks/learning_parity/peer.py").read_text()))
    # How many pictures there are it sees; it pads a batch to its largest.
    assert {field.name for field in dataclasses.fields(Rules)} - read == {"images", "aspect_ratio"}


def test_rules_travel_as_json():
    assert Rules.from_json(Rules.from_json(RULES.to_json()).to_json()) == Rules.from_json(RULES.to_json())


def run(side, seed, last, rules=RULES):
    curve = {"2": {"AP": 0.1, "AP50": 0.2}, "10": {"AP": last, "AP50": 2 * last}}
    times = {"cpu_seconds": 100.0 + seed, "wall_seconds": 50.0}
    checked = {"pycocotools": {"AP": last, "AP50": 2 * last}, "rules": json.loads(rules.to_json())}
    return {"side": side, "seed": seed, "curve": curve, **times, **checked}


FOUND = [run("tfrecog", seed, ap) for seed, ap in enumerate((0.40, 0.41, 0.42))]
FOUND += [run("torchvision", seed, ap) for seed, ap in enumerate((0.43, 0.41, 0.45))]


def test_means_come_with_their_standard_errors():
    known = results.summary(FOUND)
    # Deviations of 1 and 2 points, each of three runs.
    np.testing.assert_allclose(known["sides"]["tfrecog"]["AP"], (41.0, 1 / 3**0.5))
    np.testing.assert_allclose(known["sides"]["torchvision"]["AP"], (43.0, 2 / 3**0.5))
    np.testing.assert_allclose(known["sides"]["tfrecog"]["cpu_seconds"], 101.0)
    apart = known["apart"]["AP"]
    np.testing.assert_allclose((apart["difference"], apart["standard_error"]), (-2.0, (5 / 3) ** 0.5))
    assert "| difference | -2.0 ± 1.3 | -4.0 ± 2.6 | | |" in results.table(FOUND)


def test_the_figure_has_each_run_and_the_means(tmp_path):
    results.draw(FOUND, RULES, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_trained_again(tmp_path):
    runs.path_of(tmp_path, "tfrecog", 1).write_text(json.dumps(FOUND[1]))
    arguments = "no records", "no interpreter"
    assert runs.finish(tmp_path, "tfrecog", 1, RULES, *arguments) == FOUND[1]
    other = dataclasses.replace(RULES, rate=0.5)
    with pytest.raises(SystemExit, match=r"tfrecog-1\.json is of other rules"):
        runs.finish(tmp_path, "tfrecog", 1, other, *arguments)


def test_a_curve_is_what_was_evaluated(tmp_path):
    table = tmp_path / "metrics.csv"
    table.write_text("step,training/loss,evaluation/box_AP,evaluation/box_AP50\n20,2.5,,\n32,,0.25,0.5\n")
    assert runs.curve_of(table) == {"32": {"AP": 0.25, "AP50": 0.5}}
