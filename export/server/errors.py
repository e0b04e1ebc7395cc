"""What a client is told when it does not get what it asked for."""

RETRY_AFTER = "retry-after"  # a header of REST and metadata of gRPC: seconds after which the same request may work


class Refused(Exception):
    """A request that is not answered: an HTTP status, a word for the metrics, and a sentence for the client."""

    def __init__(self, sentence: str, status: int = 400, reason: str = "bad request", retry_after: int | None = None):
        super().__init__(sentence)
        self.sentence, self.status, self.reason, self.retry_after = sentence, status, reason, retry_after


def too_large(sentence: str) -> Refused:
    """413: a request or a picture beyond the limits of the server."""
    return Refused(sentence, 413, "too large")


def busy(sentence: str) -> Refused:
    """503: the queue is full; the same request may work a second later."""
    return Refused(sentence, 503, "busy", retry_after=1)


def unknown(name: str, served: str) -> Refused:
    """404: a model that this server does not have."""
    return Refused(f"no model is named {name!r} here; this server has {served!r}", 404, "unknown model")


def not_ready(name: str) -> Refused:
    """503: the model is still being loaded."""
    return Refused(f"the model {name!r} is being loaded; ask again in a few seconds", 503, "not ready", retry_after=2)
