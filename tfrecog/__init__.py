"""Object recognition in TensorFlow and Keras: Faster R-CNN, Mask R-CNN and what led to them."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# Where pipelines, export and configs are: in this package if it was installed, beside it in a checkout, where they are
# found by the same names, tfrecog.pipelines and tfrecog.export.
HOME = _HERE if (_HERE / "configs").is_dir() else _HERE.parent
if HOME != _HERE:
    __path__.append(str(HOME))


def version() -> str:
    """Version of the installed package."""
    from importlib import metadata

    try:
        return metadata.version("tfrecog")
    except metadata.PackageNotFoundError:
        return "(not installed)"
