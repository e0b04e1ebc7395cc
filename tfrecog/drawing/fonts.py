"""Text in pictures, in any script: each letter in the first font that has it (Pillow)."""

import contextlib
import contextvars
import functools
import importlib.util
import itertools
import logging
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageDraw, ImageFont

from tfrecog.cli.errors import UserError

# Where Linux, macOS and Windows keep their fonts.
_PLACES = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
    "/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts",
    "C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts",
)  # fmt: skip
_DECORATED = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed")
_SEARCHES = 8  # letters that no font has are looked for in all of them
_LONGEST = 1000  # letters of a text
_NO_LETTER = "\U0010ffff"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_preferred: contextvars.ContextVar[str] = contextvars.ContextVar("preferred", default="")
_chosen: dict[str, None] = {}  # fonts of the system in which letters were found
_missing: set[str] = set()  # letters that no font has


def check(file: str | Path, argument: str = "font") -> None:
    """UserError if the file that an argument names cannot be read as a font; an empty name is none."""
    if file and _face(str(file), 16) is None:
        raise UserError(
            f"{argument}={file}: it cannot be read as a scalable font; give a file such as NotoSans-Regular.ttf"
        )


@contextlib.contextmanager
def preferred(file: str | Path) -> Iterator[None]:
    """Text drawn within is in a font (TTF, OTF or TTC) where it has the letters; an empty name changes nothing.

    UserError if the file cannot be read as one.
    """
    check(file)
    token = _preferred.set(str(file))
    try:
        yield
    finally:
        _preferred.reset(token)


class Font:
    """Letters of a size in pixels: of the preferred font, DejaVu Sans, or for what these lack a font of the system.

    Letters that no font has are boxes; a warning says so once.
    """

    def __init__(self, size: float):
        self.size = max(1, round(size))
        self._ascent, self._descent = _face(_base(), self.size).getmetrics()

    @property
    def height(self) -> int:
        """Of a line, in pixels."""
        return self._ascent + self._descent

    def length(self, text: str) -> float:
        """Pixels from the start to the end of a text."""
        return sum(face.getlength(part) for face, part in self._parts(text))

    def shortened(self, text: str, width: float) -> str:
        """The text, or as much of its start as fits into `width` pixels."""
        if len(text) <= _LONGEST and self.length(text) <= width:
            return text
        fits, too_long = 0, min(len(text), _LONGEST)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            fits, too_long = (middle, too_long) if self.length(text[:middle] + "…") <= width else (fits, middle)
        return text[:fits] + "…"

    def draw(self, canvas: ImageDraw.ImageDraw, x: float, middle: float, text: str, ink) -> None:
        """Writes a line of text from `x` to the right; half of its height is at `middle`."""
        baseline = middle + (self._ascent - self._descent) / 2
        for face, part in self._parts(text):
            canvas.text((x, baseline), part, ink, face, anchor="ls")
            x += face.getlength(part)

    def _parts(self, text):
        """The parts of a text that are in one font each, with their faces."""
        text = _UNPRINTABLE.sub(" ", text[:_LONGEST])
        files = _files(text, _preferred.get())
        for file, pairs in itertools.groupby(zip(files, text, strict=True), key=lambda pair: pair[0]):
            yield _face(file, self.size) or _face(_base(), self.size), "".join(letter for _, letter in pairs)


def of(text: str) -> list[str]:
    """The files of the fonts of a text's letters: the preferred one, DejaVu Sans, then those of the system."""
    used = {*_files(_UNPRINTABLE.sub(" ", text), _preferred.get())}
    return [file for file in dict.fromkeys((_preferred.get(), _base(), *_chosen)) if file in used]


@functools.lru_cache(maxsize=4096)
def _files(text, preferred):
    """The font of each letter; spaces, accents and what joins letters are of the font of the letter before."""
    files = []
    for letter in text:
        category = unicodedata.category(letter)
        joins = category[0] in "MZ" or category == "Cf"
        files.append((files[-1] if files else _base()) if joins else _file_of(letter, preferred))
    return files


@functools.cache
def _file_of(letter, preferred):
    for file in (preferred, _base(), *_chosen):
        if file and _has(file, letter):
            return file
    if len(_missing) < _SEARCHES:
        for file in _of_system():
            if _has(file, letter):
                _chosen[file] = None
                return file
        if not _missing:
            logging.getLogger("tfrecog").warning(
                "no font here has %s (U+%04X), drawn as a box: install a font that has it, such as one of Noto Sans",
                letter,
                ord(letter),
            )
        _missing.add(letter)
    return _base()


@functools.cache
def _of_system():
    """Files of fonts in this system, plain ones first."""
    found = [path for place in _PLACES for path in Path(os.path.expanduser(place)).rglob("*.[tToO][tT][fFcC]")]
    plain = [path for path in found if not path.stem.lower().startswith("lastresort")]  # which has boxes for all
    return sorted(map(str, plain), key=lambda path: (sum(word in Path(path).stem.lower() for word in _DECORATED), path))


@functools.cache
def _base():
    """The file of DejaVu Sans that Matplotlib brings; empty, for the Latin font of Pillow, where there is none."""
    matplotlib = importlib.util.find_spec("matplotlib")
    for folder in (matplotlib and matplotlib.submodule_search_locations) or ():
        file = Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        if file.is_file():
            return str(file)
    return ""


@functools.lru_cache(maxsize=64)  # Each keeps its file open.
def _face(file, size):
    """A font in a size; None if the file is none that can have it."""
    if not file:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(file, size)
    except OSError:
        return None


def _has(file, letter):
    """Whether a font has a letter: it looks other than one that is none."""
    try:
        return _shape(file, letter) != _shape(file, _NO_LETTER)
    except Exception:  # Not a font, a broken one, or only of bitmaps of one size, as those of emoji are.
        return False


@functools.lru_cache(maxsize=4096)
def _shape(file, letter):
    face = _face(file, 16)
    if face is None:
        raise OSError
    mask = face.getmask(letter)
    return mask.size, bytes(mask)
