"""Pickles of weights, read without running what they ask for.

A pickle is a program: it names functions and has them called. Here a name that is not in the short list below ends the
reading, and every name in the list stands for a function of this file, which only notes shapes and bytes. Nothing of
the file's own choice is ever imported or called.
"""

import collections
import pickle
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

# What a damaged pickle makes the reader stumble over.
DAMAGE = (
    pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip


class Refused(Exception):
    """A pickle asks for something that weights do not need; `wanted` is its name."""

    def __init__(self, wanted: str):
        super().__init__(wanted)
        self.wanted = wanted


@dataclass(frozen=True)
class Storage:
    """A torch storage: `count` numbers of a kind such as `Float`, kept in the file under `key`."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class View:
    """A torch tensor: numbers of a storage from `offset` on, with strides, all counted in numbers."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Array:
    """A NumPy array of a pickle, until `value` makes it a real one of plain numbers."""

    def __init__(self, *_):
        self.shape, self.dtype, self.fortran, self.data = (), None, False, b""

    def __setstate__(self, state):
        _, self.shape, self.dtype, self.fortran, self.data = state

    def value(self) -> np.ndarray:
        """The array; ValueError if it is not of plain numbers, or has too few of them."""
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data  # Python 2 has no bytes.
        if not isinstance(self.dtype, Dtype) or not isinstance(data, bytes | bytearray):
            raise ValueError("an array without numbers")
        return np.frombuffer(data, self.dtype.value()).reshape(self.shape, order="F" if self.fortran else "C")


class Dtype:
    """NumPy's dtype in a pickle: kind and size of a number, and the order of its bytes."""

    def __init__(self, name: str, *_):
        self.name, self.order = name, "<"

    def __setstate__(self, state):
        self.order = state[1]

    def value(self) -> np.dtype:
        """The real one; ValueError if it is not a number."""
        if not isinstance(self.name, str) or self.name[:1] not in "biuf" or not self.name[1:].isdigit():
            raise ValueError(f"an array of {self.name!r}, not of numbers")
        return np.dtype({">": ">", "<": "<", "|": "|", "=": "="}[self.order] + self.name)


def _scalar(dtype, data):
    array = Array()
    array.shape, array.dtype, array.data = (), dtype, data
    return array


def _from_buffer(data, dtype, shape, order):
    array = Array()
    array.shape, array.dtype, array.fortran, array.data = shape, dtype, order == "F", data
    return array


def _tensor(storage, offset, size, stride, *_):
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    return View(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


class Settings:
    """Whatever a training script noted beside the weights; not looked at."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


def _encode(text, encoding="latin1"):
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")  # Python 2's pickles write bytes as such text.


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch.nn.parameter", "Parameter"): lambda tensor, *_: tensor,
    ("torch", "Size"): lambda size=(): tuple(size),
    ("torch", "device"): Settings,
    ("argparse", "Namespace"): Settings,
    ("_codecs", "encode"): _encode,
}
_ALLOWED |= {("torch", f"{kind}Storage"): kind for kind in (
    "Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool",
)}  # fmt: skip
_ALLOWED |= {(module, name): kind for module in ("builtins", "__builtin__") for name, kind in {
    "set": set, "frozenset": frozenset, "list": list, "tuple": tuple, "dict": dict,
}.items()}  # fmt: skip
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = Array
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _from_buffer
_ALLOWED |= {("numpy", "ndarray"): Array, ("numpy", "dtype"): Dtype}


class Reader(pickle.Unpickler):
    """Reads pickles from a file one after the other; Refused if one names what is not in the list."""

    def __init__(self, file: IO[bytes]):
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Storage:
        """torch's reference to numbers that lie outside the pickle."""
        if pid[0] != "storage":
            raise Refused(f"a pickled {pid[0]}")
        _, kind, key, _, count, *view = pid
        if not isinstance(kind, str) or (view and view[0] is not None):
            raise ValueError("a storage of an unknown kind")
        return Storage(kind, str(key), int(count))
