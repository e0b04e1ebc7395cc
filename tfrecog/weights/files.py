"""Published weight files as NumPy arrays: torch's `.pth` (both of its formats), `.safetensors` and detectron2's `.pkl`.

The format is recognised by the file's first bytes, whatever its name. Neither torch nor the code that a pickle may
carry is needed or run.
"""

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from tfrecog.weights import pickles
from tfrecog.weights.pickles import Array, Refused, Storage, View

_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch's magic number, pickled
_NESTED = ("model", "state_dict", "model_state_dict", "model_state")
_KINDS = {
    "Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "bf", "Long": "i8", "Int": "i4", "Short": "i2",
    "Char": "i1", "Byte": "u1", "Bool": "b1",
}  # fmt: skip
_SAFE_KINDS = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1",
}  # fmt: skip
_AGAIN = "Delete it and download it again."


class WeightsError(ValueError):
    """A file of weights cannot be read; the message names it and says what to do."""


def read(path: str | Path, say: Callable[[str], None] = lambda line: None) -> dict[str, np.ndarray]:
    """Arrays by name of a file of weights; bfloat16 becomes float32, and the other kinds stay as they are.

    A checkpoint that holds the weights beside other things (`{"model": ...}`) is opened, and `say` is told.

    Raises:
        WeightsError: the file is damaged, of another kind, or its pickle asks for more than numbers.
        OSError: there is no such file, or it cannot be read.
    """
    path = Path(path).expanduser()
    try:
        content = _content(path)
        state = _numbers(path, _state(path, content, say))
    except Refused as refused:
        raise WeightsError(
            f"{path} is refused, and nothing in it was run: its pickle asks for {refused.wanted}, and weights are "
            "tensors alone. If you trust the file, open it with the library that wrote it, and save the tensors: "
            "torch.save(model.state_dict(), 'weights.pth')"
        ) from None
    except pickles.DAMAGE as error:
        if isinstance(error, WeightsError):
            raise
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{path} is damaged or cut short ({reason}). {_AGAIN}") from error
    return state


def _content(path):
    """What a file holds, tensors as arrays, by its format."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(512)
    if not size:
        raise WeightsError(f"{path} is empty. {_AGAIN}")
    if start.startswith(b"PK"):
        return _read_zip(path)
    if start.startswith(_LEGACY):
        return _read_legacy(path)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        return _read_safetensors(path)
    text = start.lstrip().lower()
    if text.startswith(b"<"):
        raise WeightsError(
            f"{path} is a web page and not weights: the download went to an error or login page. Delete it, and check "
            "the address in a browser."
        )
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a git-lfs pointer: it only says where the weights are. Get them with `git lfs pull` in its "
            "repository."
        )
    if start.startswith(b"\x89HDF"):
        raise WeightsError(f"{path} is an HDF5 file, as Keras writes. {_EXPECTED}")
    if start.startswith(b"\x80") or path.suffix == ".pkl":
        with open(path, "rb") as file:
            return _resolve(pickles.Reader(file).load(), _no_storage)
    raise WeightsError(f"{path} is not a file of weights. {_EXPECTED}")


_EXPECTED = "Expected: torch's .pth (saved with torch.save), .safetensors, or detectron2's .pkl."


def _read_safetensors(path):
    try:
        parts = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}). {_AGAIN}") from error
    state = {}
    for name, part in parts:
        if part["dtype"] not in _SAFE_KINDS:
            raise WeightsError(f"{path}: {name} has numbers of the kind {part['dtype']}, which is not supported")
        state[name] = _array(part["data"], _SAFE_KINDS[part["dtype"]]).reshape(part["shape"])
    return state


def _read_zip(path):
    """torch 1.6 and later: a zip archive of one pickle, and a member for each storage."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            top = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
            if top is None:
                raise WeightsError(f"{path} is a zip archive without torch's data.pkl in it. {_EXPECTED}")
            if any(name.startswith(f"{top}code/") for name in names):
                raise WeightsError(
                    f"{path} is a TorchScript program and not weights. Save them where it can be opened: "
                    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
                )
            swap = f"{top}byteorder" in names and archive.read(f"{top}byteorder") == b"big"
            order = ">" if swap else "<"

            def load(storage: Storage) -> np.ndarray:
                kind, member = _KINDS[storage.kind], archive.getinfo(f"{top}data/{storage.key}")
                if member.file_size != storage.count * _width(kind):
                    raise ValueError(f"storage {storage.key} has another size than the pickle says")
                return _array(archive.read(member), kind, order)

            with archive.open(f"{top}data.pkl") as file:
                return _resolve(pickles.Reader(file).load(), load)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}). {_AGAIN}") from error


def _read_legacy(path):
    """torch before 1.6: magic number, version, facts of the machine, pickle, keys of the storages, and their bytes."""
    with open(path, "rb") as file:
        _magic, version, machine, content, keys = (pickles.Reader(file).load() for _ in range(5))
        if version != 1001:
            raise WeightsError(f"{path} has version {version} of torch's old format; only 1001 is known")
        order = "<" if machine.get("little_endian", True) else ">"
        wanted = {storage.key: storage for storage in _storages(content)}
        if set(wanted) - set(keys):
            raise ValueError("storages are missing")
        values = {}
        for key in keys:
            count = int.from_bytes(file.read(8), "little")
            if key not in wanted or count != wanted[key].count:
                raise ValueError(f"storage {key} has another size than the pickle says")
            kind = _KINDS[wanted[key].kind]
            length = count * _width(kind)
            if length > path.stat().st_size - file.tell():
                raise ValueError(f"it ends within storage {key}")
            values[key] = _array(file.read(length), kind, order)
    return _resolve(content, lambda storage: values[storage.key])


def _width(kind):
    return 2 if kind == "bf" else np.dtype(kind).itemsize


def _array(data, kind, order="<"):
    """Numbers [n] of bytes; those of bfloat16 are the upper halves of float32."""
    if kind == "bf":
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, order + kind).astype(kind, copy=False)


def _no_storage(storage):
    raise ValueError("a torch tensor outside a file of torch")


def _storages(content):
    """The storages of all tensors in nested dicts, lists and tuples."""
    if isinstance(content, View):
        yield content.storage
    elif isinstance(content, Storage):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _storages(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _storages(value)


def _resolve(content: Any, load: Callable[[Storage], np.ndarray]) -> Any:
    """`content` with arrays in place of tensors and of pickled arrays."""
    if isinstance(content, View):
        return _strided(load(content.storage), content)
    if isinstance(content, Array):
        return content.value()
    if isinstance(content, Mapping):
        return {key: _resolve(value, load) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_resolve(value, load) for value in content]
    return content


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


def _state(path, content, say):
    """The state dict in what a file holds."""
    nested = next((key for key in _NESTED if isinstance(content, Mapping) and _is_state(content.get(key))), None)
    if nested and not _is_state(content):
        say(f"{path} is a checkpoint: the weights are its {nested!r}, and the rest of it is left alone")
        content = content[nested]
    if not _is_state(content):
        found = f"a dict of {_few(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise WeightsError(
            f"{path} holds {found} and no weights by name. Save them with torch.save(model.state_dict(), 'weights.pth')"
        )
    prefix = "module."  # of torch's DistributedDataParallel
    if all(name.startswith(prefix) for name in content):
        say(f"{path}: {prefix!r}, which training on several devices puts before every name, is taken off")
        content = {name.removeprefix(prefix): value for name, value in content.items()}
    return content


def _is_state(content):
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(name, str) for name in content)
        and any(isinstance(value, np.ndarray) for value in content.values())
        and not any(isinstance(value, Mapping) for value in content.values())
    )


def _numbers(path, state):
    strangers = [name for name, value in state.items() if not isinstance(value, np.ndarray)]
    if strangers:
        raise WeightsError(f"{path}: {_few(strangers)} are not tensors; save a model's state_dict() alone")
    return dict(state)


def _few(names, most=5):
    shown = ", ".join(re.sub(r"\s+", " ", json.dumps(name, default=str))[:60] for name in list(names)[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")
