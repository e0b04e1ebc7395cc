"""Raw datasets → TFRecord shards, an index and dataset.json. Commands, and the parts they share."""

import os

# `tfrecog` takes this as the user's own choice and leaves TensorFlow, seconds of import, to the modules that use it:
# nothing here does.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
