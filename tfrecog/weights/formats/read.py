"""Published weight files as NumPy arrays: torch's `.pth` (both of its formats), `.safetensors` and detectron2's `.pkl`.

The format is recognised by the file's first bytes, whatever its name. Neither torch nor the code that a pickle may
carry is needed or run.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors

from tfrecog.weights.formats import pickle_reader, torch
from tfrecog.weights.formats.pickle_reader import Refused
from tfrecog.weights.formats.torch import AGAIN, EXPECTED, WeightsError

_NESTED = ("model", "state_dict", "model_state_dict", "model_state")
_SAFE_KINDS = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1",
}  # fmt: skip
# What people take for weights, by how it begins (in small letters).
_OTHERS = {
    b"<": "a web page and not weights: the download went to an error or login page. Delete it, and check the address "
    "in a browser.",
    b"version https://git-lfs": "a git-lfs pointer: it only says where the weights are. Get them with `git lfs pull` "
    "in its repository.",
    b"\x89hdf": f"an HDF5 file, as Keras writes. {EXPECTED}",
}


def read(path: str | Path, say: Callable[[str], None] = lambda line: None) -> dict[str, np.ndarray]:
    """Arrays by name of a file of weights; bfloat16 becomes float32, and the other kinds stay as they are.

    A checkpoint that holds the weights beside other things (`{"model": ...}`) is opened, and `say` is told.

    Raises:
        WeightsError: the file is damaged, of another kind, or its pickle asks for more than numbers.
        OSError: there is no such file, or it cannot be read.
    """
    path = Path(path).expanduser()
    try:
        return _state(path, _content(path), say)
    except Refused as refused:
        raise WeightsError(
            f"{path} is refused, and nothing in it was run: its pickle asks for {refused.wanted}, and weights are "
            "tensors alone. If you trust the file, open it with the library that wrote it, and save the tensors: "
            "torch.save(model.state_dict(), 'weights.pth')"
        ) from None
    except pickle_reader.DAMAGE as error:
        if isinstance(error, WeightsError):
            raise
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{path} is damaged or cut short ({reason}). {AGAIN}") from error


def _content(path):
    """What a file holds, tensors as arrays, by its format."""
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in (".pth", ".safetensors", ".pkl"))
        raise WeightsError(f"{path} is a folder; name a file{f' in it, such as {_few(inside)}' if inside else ''}")
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(512)
    if not size:
        raise WeightsError(f"{path} is empty. {AGAIN}")
    if start.startswith(b"PK"):
        return torch.read_zip(path)
    if start.startswith(torch.MAGIC):
        return torch.read_legacy(path)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        return _read_safetensors(path)
    for beginning, what in _OTHERS.items():
        if start.lstrip().lower().startswith(beginning):
            raise WeightsError(f"{path} is {what}")
    if start.startswith(b"\x80") or path.suffix == ".pkl":
        with open(path, "rb") as file:
            return pickle_reader.resolve(pickle_reader.Reader(file).load())
    raise WeightsError(f"{path} is not a file of weights. {EXPECTED}")


def _read_safetensors(path):
    try:
        parts = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is damaged or cut short ({error}). {AGAIN}") from error
    state = {}
    for name, part in parts:
        if part["dtype"] not in _SAFE_KINDS:
            raise WeightsError(f"{path}: {name} has numbers of the kind {part['dtype']}, which is not supported")
        state[name] = torch.array(part["data"], _SAFE_KINDS[part["dtype"]]).reshape(part["shape"])
    return state


def _state(path, content, say):
    """The state dict in what a file holds."""
    nested = next((key for key in _NESTED if isinstance(content, dict) and _is_state(content.get(key))), None)
    if nested and not _is_state(content):
        say(f"{path} is a checkpoint: the weights are its {nested!r}, and the rest of it is left alone")
        content = content[nested]
    if not _is_state(content):
        found = f"a {type(content).__name__}"
        if isinstance(content, dict):
            found = f"a dict of {_few(content)}" if content else "an empty dict"
        raise WeightsError(
            f"{path} holds {found} and no weights by name. Save them with torch.save(model.state_dict(), 'weights.pth')"
        )
    prefix = "module."  # of torch's DistributedDataParallel
    if all(name.startswith(prefix) for name in content):
        say(f"{path}: {prefix!r}, which training on several devices puts before every name, is taken off")
        content = {name.removeprefix(prefix): value for name, value in content.items()}
    if strangers := [name for name, value in content.items() if not isinstance(value, np.ndarray)]:
        raise WeightsError(f"{path}: {_few(strangers)} are not tensors; save a model's state_dict() alone")
    return content


def _is_state(content):
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(name, str) for name in content)
        and any(isinstance(value, np.ndarray) for value in content.values())
        and not any(isinstance(value, dict) for value in content.values())
    )


def _few(names, most=5):
    shown = ", ".join(re.sub(r"\s+", " ", json.dumps(name, default=str))[:60] for name in list(names)[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")
