"""How far long work is, and how long it will take: a bar on a terminal, and lines elsewhere."""

import sys
import textwrap
from typing import TextIO

from tqdm import tqdm

_FIRST, _LONGEST = 5.0, 60.0  # seconds between two lines, at the start and later
_LINE = "{desc}: {n_fmt}/{total_fmt}  [{elapsed}<{remaining}, {rate_fmt}]{postfix}"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches a stream, which a program without a console does not have."""
    return stream is not None and stream.isatty()


class Bar(tqdm):
    """A bar on a terminal; where nobody watches, as in a log file, a pipe or a notebook, a line now and then.

    Args:
        starting: stands beside it until the first of the work is done.
    """

    monitor_interval = 0  # A line is printed by an update alone.

    def __init__(self, *arguments, starting: str = "", **options):
        self._watched, self._printed = is_terminal(sys.stderr), None
        how = {"mininterval": 0.2, "dynamic_ncols": True}
        if not self._watched:
            how = {"mininterval": _FIRST, "bar_format": _LINE}
        if sys.stderr is None:
            options["disable"] = True
        super().__init__(*arguments, **{"unit": "image", "postfix": starting or None, "miniters": 1, **how, **options})

    def __iter__(self):
        """By `update`: the loop of tqdm would keep the interval of the start."""
        with self:
            for item in self.iterable:
                yield item
                self.update()

    def update(self, n=1):
        if self.disable:
            return None
        if self.n == 0 and self.postfix:  # What comes before the first is no part of the speed.
            self.postfix, self.last_print_t = None, self._time()
        return super().update(n)

    def say(self, line: str) -> None:
        """Prints a line above the bar, on several lines where the terminal is narrower than it; words stay whole."""
        if is_terminal(sys.stdout):
            how = {"subsequent_indent": "  ", "break_on_hyphens": False, "break_long_words": False}
            line = textwrap.fill(line, self.format_dict["ncols"] or 80, **how)
        self.write(line)

    def display(self, msg=None, pos=None):
        if self._watched:
            return super().display(msg, pos)
        if self.n != self._printed:
            self._printed = self.n
            print(self, file=sys.stderr, flush=True)
            self.mininterval = min(_LONGEST, max(_FIRST, self.format_dict["elapsed"] / 5))
        return True

    def close(self):
        if self._watched or self.disable:
            return super().close()
        self.disable = True
        self._decr_instances(self)
        if self.leave:
            self.display()
