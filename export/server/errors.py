"""What a client is told when it does not get what it asked for."""

import reprlib
from typing import Any

from tfrecog.cli import json_values

RETRY_AFTER = "retry-after"  # a header of REST and metadata of gRPC: seconds after which the same request may work
_REASONS = {404: "unknown model", 408: "slow", 413: "too large", 503: "busy"}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = 8


class Refused(Exception):
    """A request that is not answered: a sentence for the client, an HTTP status, a word for metrics, and headers."""

    def __init__(self, sentence: str, status: int = 400, reason: str = "", headers: dict[str, str] | None = None):
        super().__init__(sentence)
        self.sentence, self.status, self.reason = sentence, status, reason or _REASONS.get(status, "bad request")
        self.headers = headers or ({RETRY_AFTER: "1"} if status == 503 else {})


def shown(value: str | int | float | list) -> str:
    """A value of a request for a sentence: no more than 80 characters of a text, and 8 elements of a list."""
    return _SHORT.repr(value)


def typed(kind: Any, value: Any, place: str, expected: str) -> Any:
    """A value of JSON as a type has it (`json_values.typed`); Refused, with what is expected, if it is of another."""
    try:
        return json_values.typed(kind, value, place)
    except json_values.NotValid as error:
        raise Refused("; ".join(filter(None, [str(error), expected]))) from error
