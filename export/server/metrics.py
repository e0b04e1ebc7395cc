"""What GET /metrics tells of the server, beside kserve's own times of a request's steps (Prometheus)."""

from prometheus_client import Counter, Gauge, Histogram

_TIMES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("tfrecog_requests", "Requests for predictions that were answered", ["protocol", "status"])
SECONDS = Histogram(
    "tfrecog_request_seconds", "From a request's first byte to its answer", ["protocol"], buckets=_TIMES
)
REFUSED = Counter("tfrecog_refused", "Requests of any kind that were refused, or that a client left", ["reason"])
PICTURES = Counter("tfrecog_pictures", "Pictures in answers")
WAITING = Gauge("tfrecog_waiting_pictures", "Decoded pictures that wait for the model")
OPEN = Gauge("tfrecog_open_requests", "Requests for predictions in work")
BATCH = Histogram("tfrecog_batch_pictures", "Pictures that the model saw together", buckets=(1, 2, 4, 8, 16, 32, 64))
MODEL_SECONDS = Histogram("tfrecog_model_seconds", "Time of the model for a batch", buckets=_TIMES)
