"""Raw datasets → TFRecord shards, an index and dataset.json. Commands, and the parts they share."""

import tfrecog.cli  # noqa: F401  Ctrl-C, from the first instant of a command.
