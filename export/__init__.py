"""What leaves the house: SavedModels for servers, TFLite files for phones, ONNX files for other runtimes."""

import tfrecog.cli  # noqa: F401  Ctrl-C, from the first instant of a command.
