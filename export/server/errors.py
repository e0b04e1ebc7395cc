"""What a client is told when it does not get what it asked for."""

import reprlib
from typing import Any

RETRY_AFTER = "retry-after"  # a header of REST and metadata of gRPC: seconds after which the same request may work
_REASONS = {404: "unknown model", 408: "slow", 413: "too large", 503: "busy"}
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = 8


class Refused(Exception):
    """A request that is not answered: a sentence for the client, an HTTP status, and a word for the metrics."""

    def __init__(self, sentence: str, status: int = 400, reason: str = "", retry_after: int | None = None):
        super().__init__(sentence)
        self.sentence, self.status, self.reason = sentence, status, reason or _REASONS.get(status, "bad request")
        self.retry_after = retry_after or (1 if status == 503 else None)  # seconds


def shown(value: str | int | float | list) -> str:
    """A value of a request for a sentence: no more than 80 characters of a text, and 8 elements of a list."""
    return _SHORT.repr(value)


def expect(place: str, value: Any, kind: type, expected: str) -> None:
    """Refused if a value of JSON is not of a kind."""
    if not isinstance(value, kind):
        what = "missing" if value is None else "an empty list" if value == [] else _KINDS[type(value)]
        raise Refused(f"{place} is {what}; {expected}")
