"""Pickles of weights, read without running what they ask for.

A pickle is a program: it names functions and has them called. Here a name that is not in the list below ends the
reading, and one that is in it stands for itself: a call of it is noted and not made, and `resolve` makes arrays of what
was noted. Nothing of the file's own choice is ever imported or called.
"""

import pickle
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

# What a damaged pickle makes the reader stumble over.
DAMAGE = (
    pickle.UnpicklingError, EOFError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError,
    OverflowError, MemoryError, RecursionError, AssertionError,
)  # fmt: skip

# torch's kinds of storages as NumPy's of numbers; "bf" is bfloat16, which NumPy lacks.
STORAGES = {
    "torch.DoubleStorage": "f8", "torch.FloatStorage": "f4", "torch.HalfStorage": "f2", "torch.BFloat16Storage": "bf",
    "torch.LongStorage": "i8", "torch.IntStorage": "i4", "torch.ShortStorage": "i2", "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1", "torch.BoolStorage": "b1",
}  # fmt: skip
ALLOWED = {*STORAGES} | {
    f"{module}.{name}"
    for modules, names in {
        "builtins __builtin__": "dict list tuple set frozenset",  # as Python 3 and 2 call it
        "collections": "OrderedDict Counter",
        "torch": "Size device",
        "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter",
        "torch.nn.parameter": "Parameter",
        "numpy": "ndarray dtype",
        "numpy.core.multiarray numpy._core.multiarray": "_reconstruct scalar",
        "numpy.core.numeric numpy._core.numeric": "_frombuffer",
        "argparse": "Namespace",
        "_codecs": "encode",
    }.items()
    for module in modules.split()
    for name in names.split()
}
_SIMPLE = str | bytes | int | float | None  # parts of a key
_DICTS = ("dict", "OrderedDict", "Counter")
_NOTES = ("set", "frozenset", "Namespace", "device")  # of a training script beside the weights: they are not looked at
_FIXED = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "Parameter", "encode")  # have no state


class Refused(Exception):
    """A pickle asks for something that weights do not need; `wanted` is its name."""

    def __init__(self, wanted: str):
        super().__init__(wanted)
        self.wanted = wanted


@dataclass(frozen=True)
class Name:
    """A name of the list, such as `torch.FloatStorage`."""

    name: str

    def __call__(self, *arguments) -> "Call":
        return Call(self.name, arguments)


class Call:
    """A call that a pickle asks for, with the state that it gives to the result, and its items if it is a dict."""

    def __init__(self, name: str, arguments: Sequence = (), items: Iterable[tuple[Any, Any]] = ()):
        self.name, self.arguments, self.state, self.items = name, arguments, None, [*items]

    @property
    def last(self) -> str:
        """The name without its module."""
        return self.name.rpartition(".")[2]

    def __setitem__(self, key, value):
        if self.last not in _DICTS:
            raise ValueError(f"a pickle that changes an item of {self.name}")
        self.items.append((key, value))


@dataclass(frozen=True)
class Storage:
    """A torch storage: `count` numbers of a kind of `STORAGES`' values, kept in the file under `key`."""

    kind: str
    key: str
    count: int


def _dict(reader):
    parts = reader.pop_mark()
    reader.append(Call("dict", items=zip(parts[::2], parts[1::2], strict=True)))


def _build(reader):
    state = reader.stack.pop()
    changed = reader.stack[-1]
    if not isinstance(changed, Call) or changed.last in _FIXED:
        raise ValueError(f"a pickle that changes a {getattr(changed, 'name', type(changed).__name__.lower())}")
    reader.stack[-1].state = state


def _bytearray(reader):
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(length)))  # And not bytearray(length), which fills whatever memory it says.


class Reader(pickle._Unpickler):
    """Reads pickles from a file one after the other, for `resolve`; Refused if one names what is not in the list.

    It is Python's own reader in Python, and not the one in C, whose table of what to remember takes the memory that a
    damaged index says. No step makes a dict or a set: tuples in tuples, each twice in the next, would take for ever to
    hash.
    """

    dispatch = pickle._Unpickler.dispatch | {
        pickle.EMPTY_DICT[0]: lambda reader: reader.append(Call("dict")),
        pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: pickle._Unpickler.load_empty_list,
        pickle.ADDITEMS[0]: pickle._Unpickler.load_appends,
        pickle.FROZENSET[0]: pickle._Unpickler.load_list,
        pickle.NEWOBJ[0]: pickle._Unpickler.load_reduce,
        pickle.BUILD[0]: _build,
        pickle.BYTEARRAY8[0]: _bytearray,
    }

    def __init__(self, file: IO[bytes]):
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}  # by their keys, the last that a pickle named by each

    def find_class(self, module: str, name: str) -> Name:
        if f"{module}.{name}" not in ALLOWED:
            raise Refused(f"{module}.{name}")
        return Name(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Storage:
        """torch's reference to numbers that lie outside the pickle."""
        if pid[0] != "storage":
            raise Refused("something kept beside it" if not isinstance(pid[0], str) else f"a pickled {pid[0]}")
        _, kind, key, _, count, *view = pid
        if not isinstance(kind, Name) or not isinstance(key, str | int) or (view and view[0] is not None):
            raise ValueError("a storage of an unknown kind")
        storage = self.storages[str(key)] = Storage(STORAGES[kind.name], str(key), int(count))
        return storage


def _no_storage(storage):
    raise ValueError("a torch tensor outside a file of torch")


def resolve(content: Any, load: Callable[[Storage], np.ndarray] = _no_storage) -> Any:
    """What a Reader has read, with values in place of the calls; `load` gives the numbers [n] of a storage.

    What it holds in several places is worked on once: lists in lists, each twice in the next, would take for ever.

    Raises:
        ValueError: it holds itself, or a call has other arguments than it needs.
    """
    done, begun = {}, set()

    def value(part):
        if not isinstance(part, Call | list | tuple):
            return part
        if id(part) not in done:
            if id(part) in begun:
                raise ValueError("it holds itself")
            begun.add(id(part))
            done[id(part)] = _made(part, value, load) if isinstance(part, Call) else [value(one) for one in part]
        return done[id(part)]

    return value(content)


def _made(call, value, load):
    """What a call would have made; what is no weight and has no use beside them stays as it is."""
    if call.last in _NOTES:
        return call
    match call.last, value(call.arguments):
        case "dict" | "OrderedDict" | "Counter", given:
            pairs = given[0] if given else []
            return _dict_of([*(pairs.items() if isinstance(pairs, dict) else pairs), *call.items], value)
        case "list" | "tuple" | "Size", given:
            return given[0] if given else []
        case "_rebuild_tensor" | "_rebuild_tensor_v2", [Storage() as storage, offset, size, stride, *_]:
            return _strided(load(storage), int(offset), [*map(int, size)], [*map(int, stride)])
        case "_rebuild_parameter" | "Parameter", [tensor, *_]:
            return tensor
        case "encode", [str(text)] | [str(text), "latin1" | "latin-1"]:  # Python 2's pickles write bytes as such text.
            return text.encode("latin1")
        case "_reconstruct", _:
            _, shape, dtype, fortran, data = value(call.state)
            return _array(data, dtype, shape, "F" if fortran else "C")
        case "_frombuffer", [data, dtype, shape, order]:
            return _array(data, dtype, shape, order)
        case "scalar", [dtype, data]:
            return _array(data, dtype, (), "C")
        case "dtype", [str(kind), *_] if re.fullmatch(r"[biuf]\d+", kind):
            order = call.state[1] if call.state else "<"
            if order in ("<", ">", "|", "="):
                return np.dtype(order + kind)
        case "dtype", _:  # of text or of objects, which no array of weights has
            return call
    raise ValueError(f"{call.name} of something else than numbers")


def _dict_of(items, value):
    return {_key(key, value): value(one) for key, one in items}


def _key(key, value):
    found = value(key)
    found = tuple(found) if isinstance(found, list) else found
    if not all(isinstance(part, _SIMPLE) for part in (found if isinstance(found, tuple) else (found,))):
        raise ValueError("a dict with other keys than names and numbers")
    return found


def _array(data, dtype, shape, order):
    data = data.encode("latin1") if isinstance(data, str) else data  # Python 2 has no bytes.
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array of something else than numbers")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _strided(numbers, offset, size, stride):
    """A torch tensor: numbers of a storage [n] from an offset on, with strides, all counted in numbers."""
    if min([offset, *size, *stride]) < 0:
        raise ValueError("a tensor with a negative size or stride")
    if 0 in size:
        return np.zeros(size, numbers.dtype)
    if offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True)) >= len(numbers):
        raise ValueError("a tensor that is larger than its storage")
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)
