"""What leaves the house: SavedModels that servers load and TFLite files that phones load."""

import tfrecog  # noqa: F401  so that TensorFlow, if a command needs it, starts without its notes
