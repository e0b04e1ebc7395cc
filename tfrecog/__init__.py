"""Object recognition in TensorFlow and Keras: Faster R-CNN, Mask R-CNN and what led to them."""

import os

# Before TensorFlow is imported: its start-up notes hide our messages. Set the variable to 0 to read them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
