"""Workers that were not started alike are told so before the first step, and nothing is left behind."""

import json

import pytest

from pipelines import digits
from tests.machines.conftest import HALVES, halves
from tests.machines.workers import Machines, tf_configs

pytestmark = pytest.mark.long


def refused(records, workdir, *flags, **options):
    """Outputs of workers that all end as of a user's mistake, without a traceback."""
    outcomes = Machines("classifier_digits", records, workdir, *flags, **options).finish()
    assert [status for status, _ in outcomes] == [2] * len(outcomes), outcomes
    outputs = [output for _, output in outcomes]
    assert not any("Traceback" in output for output in outputs), outputs
    return outputs


def test_other_flags_are_named_with_the_worker(digit_records, tmp_path):
    own = {1: ("--optim.learning_rate=0.5", "--data.workers=1")}
    for output in refused(digit_records, tmp_path / "run", own=own):
        assert "the workers were not started alike" in output
        assert "--optim.learning_rate: 0.5 on worker 1 at 127.0.0.1:" in output and ", 0.02 on the chief" in output
        assert "--data.workers" not in output
    assert not (tmp_path / "run").exists()


def test_other_records_are_named_with_the_split(digit_records, tmp_path):
    for split, count in (("train", 64), ("val", 18)):  # The training images are others, those to evaluate on are not.
        options = digits.Digits(out=str(tmp_path / "records"), split=split, jobs=1)
        digits.build(*halves(count, count + (split == "train")), options, HALVES)
    for output in refused(digit_records, tmp_path / "run", own={1: (f"--data.records={tmp_path / 'records'}",)}):
        assert "the records of 'train': " in output and "the records of 'val'" not in output
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_not_shared_is_named(digit_records, tmp_path):
    for output in refused(digit_records, tmp_path / "a", own={1: (f"--workdir={tmp_path / 'b'}",)}):
        assert "is another folder on worker 1 at 127.0.0.1:" in output
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_an_error_of_the_chief_is_told_on_the_others(digit_records, tmp_path):
    (tmp_path / "file").touch()
    chief, other = refused(digit_records, tmp_path / "file" / "run")
    assert "error: --workdir=" in chief
    assert "error: worker 0 (the chief) at 127.0.0.1:" in other and "ended with an error: --workdir=" in other


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--augment.mixup=0.2", "mixes images of the whole batch"), ("--train.replicas=2", "each has one replica")],
)
def test_what_several_machines_cannot_is_refused(digit_records, tmp_path, flag, message):
    assert all(message in output for output in refused(digit_records, tmp_path / "run", flag))


def test_a_cluster_that_cannot_be_is_refused(digit_records, tmp_path):
    config = json.loads(tf_configs(2)[0])
    config["cluster"]["ps"] = ["127.0.0.1:1"]
    (output,) = refused(digit_records, tmp_path / "run", configs=[json.dumps(config)])
    assert "error: TF_CONFIG has parameter servers" in output
