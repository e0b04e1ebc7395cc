"""SavedModels, read from the disk."""

from pathlib import Path


def saved_model(path: str | Path):
    """The SavedModel in a folder; ValueError if there is none, or none that is whole."""
    import tensorflow as tf  # Here, so that a server answers that it lives while this takes seconds.

    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # Of a file that was cut off TensorFlow raises almost anything.
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{path} cannot be loaded as a SavedModel ({reason}); export it again") from error
