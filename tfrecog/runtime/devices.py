"""Which devices TensorFlow computes on."""

from typing import Annotated

from tfrecog.cli.errors import UserError

Device = Annotated[
    str, "Where it computes: cpu, gpu (every GPU), or one of them, as gpu:1. Empty: every GPU, or the CPU without one."
]


def choose(device: str, flag: str = "--device") -> None:
    """From here on TensorFlow computes on "cpu", "gpu" (every GPU) or one such as "gpu:1"; "" leaves what it has.

    UserError, with the name of the `flag`, if there is no such device, or TensorFlow has already begun on another.
    """
    if not device:
        return
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    known = {"cpu": [], **({"gpu": gpus} if gpus else {}), **{f"gpu:{n}": [one] for n, one in enumerate(gpus)}}
    if device not in known:
        raise UserError(f"{flag}={device} is not a device of this machine; there is {', '.join(known)}")
    if tf.config.get_visible_devices("GPU") != known[device]:
        try:
            tf.config.set_visible_devices(known[device], "GPU")
        except RuntimeError as error:
            raise UserError(
                f"{flag}={device}: TensorFlow has already begun on other devices; choose before the first model"
            ) from error
