"""A JSON object that is larger than memory should hold: its members one by one, and the elements of long lists."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from ..build.problems import Refused

CHUNK = 2**18  # characters
_OF_NUMBER = 3  # characters after a number such as 1e+ or 1., by which it may go on, and one
_SPACE = re.compile("[ \t\n\r]*")
_LIST_END = re.compile("}[ \t\n\r]*]")
_NEXT_OBJECT = re.compile("}[ \t\n\r]*,[ \t\n\r]*{")
_MOST_DIGITS = sys.int_info.default_max_str_digits  # of a number that the standard library reads
_TOO_LONG = re.compile(f"[0-9]{{{_MOST_DIGITS + 1}}}")
_DECODER = json.JSONDecoder()
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True)
class Elements:
    """How the elements of a long list are read.

    Attributes:
        decoder: reads any of them.
        quick: reads objects, many at once, where nothing is in the way; what it returns has all that is needed of what
            `decoder` gives. msgspec is as strict as the standard library, but for the digits of a number, and makes no
            objects of what is not asked for. None: `decoder` reads all.
    """

    decoder: json.JSONDecoder = _DECODER
    quick: msgspec.json.Decoder | None = None


def members(path: str, long: Mapping[str, Elements], give: str) -> Iterator[tuple[str, Any]]:
    """Names and values of the members of the object in a file, in UTF-8, 16 or 32, with a byte order mark or without.

    The lists of the names in `long` are iterators of the pairs of an element, as that is read, and its text, to be read
    to their ends before the next member. `give` says what the file should be.

    Raises:
        Refused: it cannot be read, is broken, or holds no object; the message says where.
    """
    if not os.path.isfile(path):
        raise Refused(f"{path} is not a file; give {give}")
    with _explained(path, give):
        with open(path, "rb") as file:
            encoding = json.detect_encoding(file.read(4))
        with open(path, encoding=encoding, newline="") as file:
            text = _Text(file)
            if text.next() != "{":
                value, _ = text.value()
                raise Refused(f"{path} is not in COCO's format: it holds a {type(value).__name__}, not an object")
            for _ in text.items("}"):
                if text.next() != '"':
                    raise text.error("Expecting property name enclosed in double quotes")
                name, _ = text.value()
                text.skip(":")
                stream = name in long and text.next() == "["
                yield name, _elements(text, long[name], path, give) if stream else text.value()[0]
            if text.next():
                raise text.error("Extra data")


def _elements(text: "_Text", how: Elements, path: str, give: str) -> Iterator[tuple[Any, str]]:
    with _explained(path, give):
        tried = -1  # the part of the file in which many were asked for: where that fails, it is read one by one
        for _ in text.items("]"):
            some = []
            if how.quick and tried != text.parts:
                tried = text.parts
                some = text.objects(how.quick)
            yield from some or [text.value(how.decoder)]


@contextlib.contextmanager
def _explained(path: str, give: str) -> Iterator[None]:
    """Turns what can happen in reading a file into words."""
    try:
        yield
    except Refused:
        raise
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise Refused(f"{where}: broken JSON: {error.msg}. If the file is cut off, download it again.") from error
    except (OSError, UnicodeError) as error:
        raise Refused(f"{path} cannot be read ({error}); give {give}") from error
    except RecursionError as error:
        raise Refused(f"{path} is not in COCO's format: its lists are nested too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise Refused(f"{path} is not in COCO's format: {error}") from error


class _Text:
    """A text that is read as far as it is needed."""

    def __init__(self, file: IO[str]):
        self._file, self._text, self._at, self._chunk = file, "", 0, CHUNK
        self.parts = 0  # of the file that were read
        self._lines, self._column = 0, 0  # before the text

    def next(self) -> str:
        """The next character that is no space, which stays; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, character: str) -> None:
        """Passes a character, which has to be the next."""
        if self.next() != character:
            raise self.error(f"Expecting {character!r} delimiter")
        self._at += 1

    def items(self, end: str) -> Iterator[None]:
        """Passes the beginning, the commas and the end of a list or an object; its items are read between."""
        self._at += 1
        if self.next() == end:
            self._at += 1
            return
        while True:
            yield
            character = self.next()
            if character not in (end, ","):
                raise self.error("Expecting ',' delimiter")
            self._at += 1
            if character == end:
                return

    def value(self, decoder: json.JSONDecoder = _DECODER) -> tuple[Any, str]:
        """The next value, and its text."""
        self.next()
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():  # which moved nothing
                    raise self.error(error.msg, error.pos) from error
                continue
            if len(self._text) - end < _OF_NUMBER and self._more():
                continue
            text = self._text[self._at : end]
            self._at, self._chunk = end, CHUNK
            return value, text

    def objects(self, decoder: msgspec.json.Decoder) -> list[tuple[Any, str]]:
        """The next elements of a list, those that are here as a whole, and their texts; none if it is not that simple.

        None are passed where they cannot be read, or are not objects: the text cut in a wrong place is no list either.
        """
        self.next()
        if end := _LIST_END.search(self._text, self._at):
            cut = end.start() + 1
        else:
            cut = self._text.rfind("}", self._at) + 1
            while cut and not _NEXT_OBJECT.match(self._text, cut - 1):
                cut = self._text.rfind("}", self._at, cut - 1) + 1
        if not cut:
            return []
        try:
            parts = _PARTS.decode(f"[{self._text[self._at : cut]}]")
            texts = [str(part, "utf-8") for part in parts]
            found = list(zip(map(decoder.decode, parts), texts, strict=True))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return []
        if any(len(text) > _MOST_DIGITS and _TOO_LONG.search(text) for text in texts):
            return []
        self._at = cut
        return found

    def error(self, what: str, at: int | None = None) -> json.JSONDecodeError:
        """An error at a position of the text, by default where it is."""
        error = json.JSONDecodeError(what, self._text, self._at if at is None else at)
        error.colno += self._column if error.lineno == 1 else 0
        error.lineno += self._lines
        return error

    def _more(self) -> bool:
        """Reads on, each time twice as much for one value, and forgets what is passed."""
        read = self._file.read(self._chunk)
        if not read:
            return False
        passed = self._text[: self._at]
        self._lines += passed.count("\n")
        self._column = len(passed) - passed.rfind("\n") - 1 + (0 if "\n" in passed else self._column)
        self._text, self._at, self._chunk = self._text[self._at :] + read, 0, 2 * self._chunk
        self.parts += 1
        return True
