"""oneDNN, the second set of TensorFlow's kernels on x86 CPUs, which is chosen before TensorFlow is imported.

Without a choice TensorFlow takes it on CPUs with AVX512_VNNI or newer. Others train faster with it as well, and infer
large images more slowly (docs/decisions/0019-onednn.md).
"""

import os

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def prefer() -> None:
    """Has TensorFlow compute with oneDNN on any x86 CPU, unless the environment says otherwise."""
    os.environ.setdefault(VARIABLE, "1")


def is_on() -> bool:
    """Whether TensorFlow computes with oneDNN in this process."""
    # The one function of TensorFlow that knows the environment and the CPU; it is in no public module.
    from tensorflow.python.util import _pywrap_util_port

    return _pywrap_util_port.IsMklEnabled()


def description() -> str:
    """The same, and how to change it, in a few words."""
    return f"oneDNN on, {VARIABLE}=0 turns it off" if is_on() else f"oneDNN off, {VARIABLE}=1 turns it on"
