"""What the readers of artefacts have in common. No TensorFlow until a SavedModel is read: devices have none."""

from pathlib import Path

from tfrecog.cli.errors import UserError

FORMAT = 1
_NEEDED = (
    "task", "classes", "keypoints", "flags", "checkpoint", "step", "min_score", "mask_threshold", "paste", "resize",
    "precision",
)  # fmt: skip


def saved_model(path: str | Path):
    """The SavedModel in a folder; ValueError if there is none, or none that is whole."""
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # Of a file that was cut off TensorFlow raises almost anything.
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(f"{path} cannot be loaded as a SavedModel ({reason}); export it again") from error


def checked(metadata, where: str) -> dict:
    """What an artefact says of itself, read from somewhere; ValueError if it is not all there."""
    if not isinstance(metadata, dict):
        raise UserError(f"{where} is no JSON object; export the model again")
    if metadata.get("format") != FORMAT:
        raise UserError(f"{where} has the format {metadata.get('format')}, and this version reads {FORMAT}")
    if missing := [name for name in _NEEDED if name not in metadata]:
        raise UserError(f"{where} lacks {', '.join(missing)}; export the model again")
    return metadata
