"""Pickles of weights, read without running what they ask for.

A pickle is a program: it names functions and has them called. Here a name that is not in the short list below ends the
reading, and every name in the list stands for something of this file, which only notes shapes and bytes. Nothing of
the file's own choice is ever imported or called, and nothing outlives the reading but what it returns.
"""

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

# What a damaged pickle makes the reader stumble over.
DAMAGE = (
    pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, MemoryError, RecursionError, AssertionError,
)  # fmt: skip


class Refused(Exception):
    """A pickle asks for something that weights do not need; `wanted` is its name."""

    def __init__(self, wanted: str):
        super().__init__(wanted)
        self.wanted = wanted


class Fixed:
    """A thing that a pickle may hold, but not change (BUILD, which would set any attribute, asks `__setstate__`)."""

    __slots__ = ()

    def __setstate__(self, state):
        raise ValueError(f"a pickle that changes a {type(self).__name__.lower()}")


@dataclass(frozen=True, slots=True)
class Storage(Fixed):
    """A torch storage: `count` numbers of a kind such as `Float`, kept in the file under `key`."""

    kind: str
    key: str
    count: int

    __setstate__ = Fixed.__setstate__  # else dataclass() writes one that sets the fields


@dataclass(frozen=True, slots=True)
class View(Fixed):
    """A torch tensor: numbers of a storage from `offset` on, with strides, all counted in numbers."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    __setstate__ = Fixed.__setstate__


class Function(Fixed):
    """A function that a pickle may call."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable):
        self._call = call

    def __call__(self, *arguments):
        return self._call(*arguments)


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
            raise ValueError("an array of something else than numbers")
        if not isinstance(self.order, str) or self.order not in "<>|=":
            raise ValueError("an array whose bytes have an unknown order")
        return np.dtype(self.order + self.name)


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


class Dict(dict):
    """Any kind of dict; attributes beside its items, such as torch's versions of layers, are ignored."""

    __slots__ = ()

    def __init__(self, items=()):
        pairs = [(key, value) for key, value in (items.items() if isinstance(items, dict) else items)]
        _check_keys(key for key, _ in pairs)
        super().__init__(pairs)

    def __setstate__(self, state):
        pass


class Settings:
    """Notes of a training script beside the weights; ignored."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


def _encode(text, encoding="latin1"):
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes written as other text than Latin-1")
    return text.encode("latin1")  # Python 2's pickles write bytes as such text.


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Dict,
    ("collections", "Counter"): Dict,
    ("torch._utils", "_rebuild_tensor"): Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_tensor),
    ("torch._utils", "_rebuild_parameter"): Function(lambda tensor, *_: tensor),
    ("torch.nn.parameter", "Parameter"): Function(lambda tensor, *_: tensor),
    ("torch", "Size"): Function(lambda size=(): tuple(size)),
    ("torch", "device"): Settings,
    ("argparse", "Namespace"): Settings,
    ("_codecs", "encode"): Function(_encode),
}
ALLOWED |= {("torch", f"{kind}Storage"): kind for kind in (
    "Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool",
)}  # fmt: skip
ALLOWED |= {(module, name): kind for module in ("builtins", "__builtin__") for name, kind in {
    "set": Settings, "frozenset": Settings, "list": list, "tuple": tuple, "dict": Dict,
}.items()}  # fmt: skip
for _module in ("numpy.core", "numpy._core"):
    ALLOWED[f"{_module}.multiarray", "_reconstruct"] = Array
    ALLOWED[f"{_module}.multiarray", "scalar"] = Function(_scalar)
    ALLOWED[f"{_module}.numeric", "_frombuffer"] = Function(_from_buffer)
ALLOWED |= {("numpy", "ndarray"): Array, ("numpy", "dtype"): Dtype}


def _check_keys(keys):
    """Tuples in tuples, each twice in the next, would take for ever to hash."""
    simple = str | bytes | int | float | None
    for key in keys:
        if not all(isinstance(part, simple) for part in (key if isinstance(key, tuple) else (key,))):
            raise ValueError("a dict or set with other keys than names and numbers")


def _with_keys(opcode, where):
    """The step of an opcode that puts what is at `where` on the stack into a dict or a set."""
    step = pickle._Unpickler.dispatch[opcode[0]]

    def checked(reader):
        _check_keys(reader.stack[where])
        step(reader)

    return checked


def _load_bytearray(reader):
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(length)))  # And not bytearray(length), which fills whatever memory it says.


class Reader(pickle._Unpickler):
    """Reads pickles from a file one after the other; Refused if one names what is not in the list.

    It is Python's own reader in Python, and not the one in C, whose table of what to remember takes the memory that a
    damaged index says, and whose steps cannot be checked.
    """

    dispatch = pickle._Unpickler.dispatch | {
        pickle.SETITEM[0]: _with_keys(pickle.SETITEM, slice(-2, -1)),
        pickle.SETITEMS[0]: _with_keys(pickle.SETITEMS, slice(None, None, 2)),
        pickle.DICT[0]: _with_keys(pickle.DICT, slice(None, None, 2)),
        pickle.ADDITEMS[0]: _with_keys(pickle.ADDITEMS, slice(None)),
        pickle.FROZENSET[0]: _with_keys(pickle.FROZENSET, slice(None)),
        pickle.BYTEARRAY8[0]: _load_bytearray,
    }

    def __init__(self, file: IO[bytes]):
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}  # by their keys, the last that a pickle named by each

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Storage:
        """torch's reference to numbers that lie outside the pickle."""
        if pid[0] != "storage":
            raise Refused("something kept beside it" if not isinstance(pid[0], str) else f"a pickled {pid[0]}")
        _, kind, key, _, count, *view = pid
        if not isinstance(kind, str) or not isinstance(key, str | int) or (view and view[0] is not None):
            raise ValueError("a storage of an unknown kind")
        storage = self.storages[str(key)] = Storage(kind, str(key), int(count))
        return storage
