"""What a client is told when it does not get what it asked for."""

RETRY_AFTER = "retry-after"  # a header of REST and metadata of gRPC: seconds after which the same request may work
_REASONS = {404: "unknown model", 408: "slow", 413: "too large", 503: "busy"}


class Refused(Exception):
    """A request that is not answered: a sentence for the client, an HTTP status, and a word for the metrics."""

    def __init__(self, sentence: str, status: int = 400, reason: str = "", retry_after: int | None = None):
        super().__init__(sentence)
        self.sentence, self.status, self.reason = sentence, status, reason or _REASONS.get(status, "bad request")
        self.retry_after = retry_after or (1 if status == 503 else None)  # seconds
