"""torch's two formats of a file of tensors."""

import functools
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.weights.formats import pickle_reader
from tfrecog.weights.formats.pickle_reader import Storage

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch's magic number, pickled
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

            @functools.cache
            def load(storage: Storage) -> np.ndarray:
                member = archive.getinfo(f"{top}data/{storage.key}")
                _check_size(storage, member.file_size)
                return array(archive.read(member), storage.kind, ">" if swap else "<")

            pickled = archive.read(f"{top}data.pkl")  # All of it first: so its checksum is compared.
            return pickle_reader.resolve(pickle_reader.Reader(io.BytesIO(pickled)).load(), load)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}). {AGAIN}") from error


def read_legacy(path: Path) -> Any:
    """torch before 1.6: magic number, version, facts of the machine, pickle, keys of the storages, and their bytes."""
    with open(path, "rb") as file:
        _magic, version, machine = (pickle_reader.resolve(pickle_reader.Reader(file).load()) for _ in range(3))
        reader = pickle_reader.Reader(file)
        content, keys = reader.load(), pickle_reader.Reader(file).load()
        if version != 1001:
            raise WeightsError(f"{path} is of another version of torch's old format than 1001, the only one known")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ValueError("keys of storages that are no names")
        if set(reader.storages) != set(keys):
            raise ValueError("its storages are others than those of its pickle")
        values = {}
        for key in keys:
            storage = reader.storages[key]
            _check_size(storage, int.from_bytes(file.read(8), "little") * _width(storage.kind))
            length = storage.count * _width(storage.kind)
            if length > path.stat().st_size - file.tell():
                raise ValueError(f"it ends within storage {key}")
            values[key] = array(file.read(length), storage.kind, "<" if machine.get("little_endian", True) else ">")
    return pickle_reader.resolve(content, lambda storage: values[storage.key])


def _check_size(storage, size):
    if size != storage.count * _width(storage.kind):
        raise ValueError(f"storage {storage.key} has another size than the pickle says")


def _width(kind):
    return 2 if kind == "bf" else np.dtype(kind).itemsize


def array(data: bytes | bytearray, kind: str, order: str = "<") -> np.ndarray:
    """Numbers [n] of bytes; those of bfloat16 ("bf") are the upper halves of float32."""
    if kind == "bf":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, order + kind).astype(kind, copy=False)
