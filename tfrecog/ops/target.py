"""For what the operations are built: of several computations that agree, which one a graph gets."""

import contextlib
import contextvars
import functools
from collections.abc import Callable
from typing import Literal

import tensorflow as tf

Target = Literal["machine", "portable", "tflite"]

_TARGET: contextvars.ContextVar[Target] = contextvars.ContextVar("target", default="machine")
_PYTHON: contextvars.ContextVar[bool] = contextvars.ContextVar("python", default=True)
_INTEGERS: contextvars.ContextVar[bool] = contextvars.ContextVar("integers", default=False)


@contextlib.contextmanager
def to(target: Target, python: bool = False, integers: bool = False):
    """Graphs that are traced inside are for a target, and leave this process unless they may call Python.

    With `integers` all of their tensors will be rounded to eight bits, from the picture to the outputs.

    machine: what is fastest here. portable: operations that every TensorFlow runtime and its relatives know, on any
    device. tflite: builtin operations of TensorFlow Lite, one image, and shapes that do not depend on values.
    """
    before = _TARGET.set(target), _PYTHON.set(python), _INTEGERS.set(integers)
    try:
        yield
    finally:
        _TARGET.reset(before[0])
        _PYTHON.reset(before[1])
        _INTEGERS.reset(before[2])


def target() -> Target:
    """The target of the graph that is being traced."""
    return _TARGET.get()


def on_cpu() -> bool:
    """Whether the graph that is being traced is for this machine, and that has no GPU."""
    return target() == "machine" and not tf.config.list_logical_devices("GPU")


@functools.cache
def has_grouped_gradients() -> bool:
    """Whether TensorFlow has gradients of a grouped convolution on this CPU: only oneDNN's, if that is switched on."""
    with tf.init_scope(), tf.device("CPU"):
        zeros = tf.zeros([1, 1, 1, 2])  # of an input, and of an output, of two groups of a channel
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=zeros, filter_sizes=[1, 1, 1, 2], out_backprop=zeros, strides=[1, 1, 1, 1], padding="VALID"
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True


def integers() -> bool:
    """Whether all tensors of the graph that is being traced will be rounded to eight bits."""
    return _INTEGERS.get()


def python() -> bool:
    """Whether the graph that is being traced may call Python."""
    return _PYTHON.get()


def custom_gradient(function: Callable) -> Callable:
    """`tf.custom_gradient`, but not for graphs that leave this process: nobody trains those, and loaders warn of it."""
    trained = tf.custom_gradient(function)

    def call(*inputs):
        return trained(*inputs) if python() else function(*inputs)[0]

    return call
