"""What a person sees of long work: a bar that fits the terminal, or lines where there is none."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios

import numpy as np
import pytest

from tfrecog.cli.progress import Bar

END = "<end>"
LINE = "step 20/1500  epoch 0.08  loss 1.2345 (rpn_class 0.1234, rpn_box 0.2345, class 0.3456, box 0.1234, mask 0.4)"


@pytest.fixture
def terminal(monkeypatch):
    """Makes a terminal of so many columns, on which everything is printed; returns a function that gives its lines."""
    files = []

    def make(columns):
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        screen = os.fdopen(there, "w")
        files.append(screen)
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(sys, "stdout", screen)

        def lines():
            print(END, end="", file=screen, flush=True)
            read = b""
            while not read.endswith(END.encode()):  # It comes in pieces.
                read += os.read(here, 1_000_000)
            return [line for line in read.decode().removesuffix(END).replace("\n", "\r").split("\r") if line.strip()]

        return lines

    yield make
    for file in files:
        file.close()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_bar_fits_the_terminal_and_says_how_long_it_takes(terminal, columns):
    lines = terminal(columns)
    with Bar(total=200, desc="evaluate val", starting="compiling", mininterval=0) as bar:
        (start,) = lines()
        for _ in range(3):
            bar.update()
        bar.say(LINE)
    shown = lines()
    assert "compiling" in start and not any("compiling" in line for line in shown)
    assert max(map(len, [start, *shown])) <= columns
    assert any("3/200" in line and "<" in line and "image/s" in line for line in shown)
    said = " ".join(line.strip() for line in shown if "evaluate" not in line)
    assert said.split() == LINE.split(), "nothing of it is cut"


def test_where_nobody_watches_a_line_says_how_far_it_is_at_once_and_at_the_end(capsys):
    with Bar(total=3, desc="evaluate val", starting="compiling") as bar:
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("evaluate val: 0/3  [00:00<?") and line.endswith("compiling")
        for _ in range(3):
            bar.update()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate val: 3/3") and "\r" not in line and "compiling" not in line


def test_what_is_said_keeps_long_words_and_is_one_line_in_a_file(terminal, capsys):
    path = "runs/" + "a-long_name/" * 9
    with Bar(total=3) as bar:
        bar.say(LINE)
    assert capsys.readouterr().out.splitlines() == [LINE]
    lines = terminal(60)
    with Bar(total=3) as bar:
        bar.say(f"the best so far: {path}")
    assert f"  {path}" in lines()


def test_a_program_without_a_console_works_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    with Bar(range(3), disable=False) as bar:
        bar.say(LINE)
        assert list(bar) == [0, 1, 2]


@pytest.mark.parametrize("options", [{"disable": True}, {"leave": False, "delay": 60}], ids=str)
def test_what_needs_no_bar_has_no_lines(capsys, options):
    assert list(Bar(range(3), **options)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_the_lines_of_a_loop_count_right_and_go_on_however_long_it_takes(capsys, monkeypatch):
    seconds = 0.0
    monkeypatch.setattr("tqdm.std.time", lambda: seconds)
    for _ in Bar(range(100), desc="some"):
        seconds += 10
    lines = [re.match(r"some: (\d+)/100  \[([\d:]+)<", line) for line in capsys.readouterr().err.splitlines()]
    shown = [(int(line[1]), line[2]) for line in lines if line]
    counts = [count for count, _ in shown]
    assert shown == [(count, Bar.format_interval(10 * count)) for count in counts]
    assert counts[:2] == [0, 1] and counts[-1] == 100 and max(np.diff(counts)) == 6  # a minute


def test_lines_come_at_intervals_and_not_for_each_part(capsys):
    list(Bar(range(10_000), desc="some"))
    assert len(capsys.readouterr().err.splitlines()) < 10
