"""A few damaged inputs of every reader; `make fuzz` tries thousands."""

import pytest

from tests.fuzz.attempts import Fault, Target, attempt
from tests.fuzz.targets import TARGETS
from tfrecog.cli.errors import UserError

TRIES = 25
DEAR_TRIES = 3


def _roots(tmp_path, count):
    for number in range(count):
        (tmp_path / str(number)).mkdir()
        yield number, tmp_path / str(number)


@pytest.mark.parametrize("name", TARGETS)
def test_an_input_that_is_whole_is_read(tmp_path, name):
    became = {attempt(TARGETS[name], f"{name} {number}", root, damage=False) for number, root in _roots(tmp_path, 3)}
    assert ("compared" if TARGETS[name].compare else "read") in became <= {"compared", "read"}


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_input_is_read_or_refused_in_a_sentence(tmp_path, name):
    for number, root in _roots(tmp_path, DEAR_TRIES if TARGETS[name].is_dear else TRIES):
        attempt(TARGETS[name], f"{name} 0 {number}", root)


def _refuse(sentence):
    raise UserError(sentence)


def _turn(path):
    while True:
        path.parent.exists()


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda folder, out: {}["key"], "KeyError: 'key'"),
        (lambda folder, out: _refuse("it is wrong"), "names neither a file nor a flag: it is wrong"),
        (lambda folder, out: _refuse("--flag: Traceback (most recent call last)"), "Traceback"),
        (lambda folder, out: (folder.parent / "escaped").write_text(""), "it changed .*/escaped"),
        (lambda folder, out: (folder / "../../escaped").write_text(""), "it changed .*/escaped"),
        (lambda folder, out: (folder / "a.json").write_text(""), "it changed .*/in/a.json"),
        (lambda folder, out: print("\ud800"), "UnicodeEncodeError"),
        (lambda folder, out: _turn(folder), "more than 0.1 seconds"),
    ],
)
def test_what_no_reader_may_do_is_a_fault(tmp_path, read, fault):
    target = Target(lambda folder, rng: (folder / "a.json").write_text("[1]"), ("a.json",), read)
    with pytest.raises(Fault, match=fault):
        attempt(target, "", tmp_path, seconds=0.1)


def test_what_another_reading_finds_is_a_fault_and_that_it_cannot_read_is_none(tmp_path):
    def target(compare):
        return Target(
            lambda folder, rng: (folder / "a.json").write_text("[1]"), ("a.json",), lambda *_: None, compare=compare
        )

    def differ(folder, out):
        raise AssertionError("3 objects, 2 are in records")

    first, second, third = (root for _, root in _roots(tmp_path, 3))
    with pytest.raises(Fault, match="3 objects, 2 are in records"):
        attempt(target(differ), "", first)
    assert attempt(target(lambda folder, out: {}["key"]), "", second) == "read"
    assert attempt(target(lambda folder, out: False), "", third) == "read"


def test_what_is_written_to_the_folder_of_the_output_is_no_fault(tmp_path):
    target = Target(
        lambda folder, rng: (folder / "a.json").write_text("[1]"), ("a.json",), lambda folder, out: out.mkdir()
    )
    assert attempt(target, "", tmp_path) == "read"
