"""What leaves the house: SavedModels that servers load and TFLite files that phones load."""

import tfrecog.cli  # noqa: F401  Ctrl-C, from the first instant of a command.
