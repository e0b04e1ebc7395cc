"""torch's two formats of a file of tensors, and the content of pickles with arrays in place of what stands for them."""

import functools
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.weights.formats import pickle_reader
from tfrecog.weights.formats.pickle_reader import Array, Storage, View

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch's magic number, pickled
_KINDS = {
    "Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "bf", "Long": "i8", "Int": "i4", "Short": "i2",
    "Char": "i1", "Byte": "u1", "Bool": "b1",
}  # fmt: skip
AGAIN = "Delete it and download it again."
EXPECTED = "Expected: torch's .pth (saved with torch.save), .safetensors, or detectron2's .pkl."


class WeightsError(UserError):
    """A file of weights cannot be read; the message names it and says what to do."""


def read_zip(path: Path) -> Any:
    """torch 1.6 and later: a zip archive of one pickle, and a member for each storage."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            top = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
            if top is None:
                raise WeightsError(f"{path} is a zip archive without torch's data.pkl in it. {EXPECTED}")
            if any(name.startswith(f"{top}code/") for name in names):
                raise WeightsError(
                    f"{path} is a TorchScript program and not weights. Save them where it can be opened: "
                    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
                )
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise WeightsError(
                    f"{path} is a compressed zip archive, and torch never compresses: another program packed it anew. "
                    "Download it again, or unpack it and pack it without compression (zip -0 -r)."
                )
            swap = f"{top}byteorder" in names and archive.read(f"{top}byteorder") == b"big"
            order = ">" if swap else "<"

            @functools.cache
            def load(storage: Storage) -> np.ndarray:
                kind, member = _KINDS[storage.kind], archive.getinfo(f"{top}data/{storage.key}")
                if member.file_size != storage.count * _width(kind):
                    raise ValueError(f"storage {storage.key} has another size than the pickle says")
                return array(archive.read(member), kind, order)

            pickled = archive.read(f"{top}data.pkl")  # All of it first: so its checksum is compared.
            return resolve(pickle_reader.Reader(io.BytesIO(pickled)).load(), load)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}). {AGAIN}") from error


def read_legacy(path: Path) -> Any:
    """torch before 1.6: magic number, version, facts of the machine, pickle, keys of the storages, and their bytes."""
    with open(path, "rb") as file:
        _magic, version, machine = (pickle_reader.Reader(file).load() for _ in range(3))
        reader = pickle_reader.Reader(file)
        content, keys = reader.load(), pickle_reader.Reader(file).load()
        if version != 1001:
            raise WeightsError(f"{path} is of another version of torch's old format than 1001, the only one known")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ValueError("keys of storages that are no names")
        order = "<" if machine.get("little_endian", True) else ">"
        if set(reader.storages) - set(keys):
            raise ValueError("storages are missing")
        values = {}
        for key in keys:
            storage = reader.storages.get(key)
            if storage is None or storage.count != int.from_bytes(file.read(8), "little"):
                raise ValueError(f"storage {key} has another size than the pickle says")
            kind = _KINDS[storage.kind]
            length = storage.count * _width(kind)
            if length > path.stat().st_size - file.tell():
                raise ValueError(f"it ends within storage {key}")
            values[key] = array(file.read(length), kind, order)
    return resolve(content, lambda storage: values[storage.key])


def _width(kind):
    return 2 if kind == "bf" else np.dtype(kind).itemsize


def array(data: bytes | bytearray, kind: str, order: str = "<") -> np.ndarray:
    """Numbers [n] of bytes; those of bfloat16 are the upper halves of float32."""
    if kind == "bf":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, order + kind).astype(kind, copy=False)


def resolve(content: Any, load: Callable[[Storage], np.ndarray]) -> Any:
    """`content` with arrays in place of tensors and of pickled arrays; ValueError if it holds itself.

    What it holds in several places is worked on once: lists in lists, each twice in the next, would take for ever.
    """
    done, begun = {}, set()

    def place(part):
        if not isinstance(part, View | Array | Mapping | list | tuple):
            return part
        if id(part) not in done:
            if id(part) in begun:
                raise ValueError("it holds itself")
            begun.add(id(part))
            done[id(part)] = convert(part)
        return done[id(part)]

    def convert(part):
        if isinstance(part, View):
            return _strided(load(part.storage), part)
        if isinstance(part, Array):
            return part.value()
        if isinstance(part, Mapping):
            return {key: place(value) for key, value in part.items()}
        return [place(value) for value in part]

    return place(content)


def _strided(numbers, view):
    sides = list(zip(view.size, view.stride, strict=True))
    if min([view.offset, *view.size, *view.stride]) < 0:
        raise ValueError("a tensor with a negative size or stride")
    if 0 in view.size:
        return np.zeros(view.size, numbers.dtype)
    if view.offset + sum((side - 1) * stride for side, stride in sides) >= len(numbers):
        raise ValueError("a tensor that is larger than its storage")
    steps = [stride * numbers.itemsize for stride in view.stride]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.size, steps, writeable=False)
