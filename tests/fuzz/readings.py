"""What other libraries read in a damaged input: where they read it too, ours have to have the same.

Each reading gives whether there was something to compare.
"""

import csv
import gzip
import importlib.util
import io
import json
import re
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image

from pipelines.build import share_groups
from tests.fuzz import inputs
from tests.fuzz.counted import examples, names_of, values
from tfrecog.data import info

_PICTURES = ("JPEG", "PNG")


def idx(folder: Path, out: Path) -> bool:
    """Bytes of IDX files as NumPy cuts them, where both have bytes."""
    arrays = []
    for name in ("images", "labels"):
        path = next(folder.glob(f"{name}.idx*"))
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        if content[2] != 8:
            return False
        shape = np.frombuffer(content, ">i4", content[3], 4)
        arrays.append(np.frombuffer(content, np.uint8, -1, 4 + 4 * content[3]).reshape(shape))
    return _digits(*arrays, out)


def npz(folder: Path, out: Path) -> bool:
    """Bytes of NPZ files as NumPy reads them."""
    with np.load(folder / "digits.npz") as file:
        arrays = file["x"], file["y"]
    known = arrays[0].dtype == np.uint8 and arrays[1].dtype.kind in "ui" and arrays[1].ndim == 1
    return known and _digits(*arrays, out)


def _digits(images, labels, out):
    """The images whose labels are those of ten classes, in their order."""
    if images.ndim != 3 or images.max() <= 1:  # Rows of squares, colours, and black and white are read otherwise.
        return False
    known = [place for place, label in enumerate(labels) if 0 <= label < 10]
    records = examples(out)
    assert [values(one, "image/class/label")[0] - 1 for one in records] == [int(labels[place]) for place in known]
    for place, one in zip(known, records, strict=True):
        assert np.array_equal(_pixels(values(one, "image/encoded")[0]), images[place])
    return bool(known)


def tar(folder: Path, out: Path) -> bool:
    """Pictures of a tar: each that Python's tarfile finds as a file is in a record, the same, or in the report."""
    lines = [json.loads(line) for line in (out / "train.report.jsonl").read_text().splitlines()]
    named = {name for line in lines for name in names_of(line["file"])}
    kept = Counter(values(one, "image/encoded")[0] for one in examples(out))
    with tarfile.open(folder / "images.tar") as archive:
        files = [(one.name, archive.extractfile(one).read()) for one in archive if one.isreg()]
    for name, content in files:
        if name.endswith(".png") and not names_of(name, "images.tar") & named:
            assert kept[content] > 0, f"{name} is lost: {lines}"
    return bool(files)


def label_maps(folder: Path, out: Path) -> bool:
    """Pixels of label maps and images as Pillow reads them."""
    compared = False
    for one in examples(out):
        name = Path(values(one, "image/filename")[0].decode()).stem
        with Image.open(next(folder.glob(f"images/{name}.*"))) as picture:
            if picture.format in _PICTURES and picture.mode == "RGB" and not picture.getexif().get(0x112):
                assert np.array_equal(_pixels(values(one, "image/encoded")[0]), np.asarray(picture))
        path = next(folder.glob(f"labels/{name}.*"))
        numbers, bits = np.asarray(Image.open(path)), path.read_bytes()[24]
        ids = (folder / "classes.txt").read_text().split()[::5]
        if ids == ["0", "1", "2"] and numbers.ndim == 2 and bits == 8:  # Pillow stretches fewer ones.
            ours = _pixels(values(one, "image/segmentation/class/encoded")[0])
            assert np.array_equal(ours, np.where(numbers < 3, numbers, 255))
            compared = True
    return compared


def panoptic(folder: Path, out: Path) -> bool:
    """Categories of the pixels of panoptic PNGs, by the numbers red + 256 green + 65536 blue."""
    tree, compared = json.loads((folder / "panoptic.json").read_bytes()), False
    order = [str(one["id"]) for one in tree["categories"]]
    for one in examples(out):
        name = values(one, "image/filename")[0].decode()
        ids = [str(image["id"]) for image in tree["images"] if image["file_name"] == name]
        segments = [a["segments_info"] for a in tree["annotations"] if str(a["image_id"]) in ids]
        if len(ids) != 1 or len(segments) != 1:
            continue
        rgb = np.asarray(Image.open(folder / "panoptic" / f"{Path(name).stem}.png").convert("RGB")).astype(int)
        wanted = np.full(rgb.shape[:2], 255)
        for segment in segments[0]:
            if isinstance(segment, dict) and type(segment.get("id")) is int:
                category = str(segment.get("category_id"))
                wanted[rgb @ [1, 256, 65536] == segment["id"]] = order.index(category) if category in order else 255
        ours = _pixels(values(one, "image/segmentation/class/encoded")[0])
        assert np.array_equal(ours, wanted)
        compared = True
    return compared


def weights(path: Path, ours: dict[str, np.ndarray]) -> bool:
    """Arrays as safetensors reads them, and torch where it is there; without it, whether a zip has the numbers."""
    if path.suffix == ".safetensors":
        theirs = safetensors.numpy.load(path.read_bytes())
    elif path.suffix == ".pth" and importlib.util.find_spec("torch"):
        import torch

        read = torch.load(path, weights_only=True, map_location="cpu")
        read = next((read[key] for key in ("model", "state_dict") if key in read), read)
        theirs = {name: value.float().numpy() for name, value in read.items() if isinstance(value, torch.Tensor)}
        ours = {name: value.astype(np.float32) for name, value in ours.items()}
    elif zipfile.is_zipfile(path):
        return _in_storages(path, ours)
    else:
        return False
    for name, value in theirs.items():
        if value.dtype.kind in "fiub":
            assert name in ours, f"{name} is lost"
            assert ours[name].shape == value.shape and np.array_equal(ours[name], value, equal_nan=True), name
    return bool(theirs)


def _in_storages(path, ours):
    """Whether each number is one of those that a .pth file stores in little-endian order, which it has to be."""
    with zipfile.ZipFile(path) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if files.get("byteorder") != b"little":
        return False
    stored = [data for name, data in files.items() if name.startswith("data/")]
    for name, value in ours.items():
        for number in np.unique(value):
            ends = [number.tobytes(), number.tobytes()[2:]][: 1 + (value.dtype == np.float32)]  # the second of bfloat16
            assert any(end in data for end in ends for data in stored), f"{name} has {number}"
    return bool(ours)


def groups_of_column(folder: Path) -> list[str]:
    """The groups of the images GROUPED by the column of a CSV file."""
    return share_groups.of_column(inputs.GROUPED, f"{folder / 'groups.csv'}:image:patient", [])


def values_of_flags(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Values of --rename, --shares and --group, a line each."""
    text = (folder / "values.txt").read_text(errors="replace")
    rename, shares, group = (*text.split("\n"), "", "", "")[:3]
    return tuple(filter(None, rename.split(","))), tuple(filter(None, shares.split(","))), group


def flags(folder: Path, out: Path) -> bool:
    """Images with the same text by `group` are all in the split or none, and the classes have the new names."""
    rename, shares, group = values_of_flags(folder)
    tree = json.loads((folder / "coco.json").read_text())
    renames = dict(text.rsplit(":", 1) for text in rename)
    left = {renames.get(one["name"], one["name"]) for one in tree["categories"]} - {""}
    assert {one.name for one in info.load(out).categories} == left
    kept = {values(one, "image/filename")[0].decode() for one in examples(out)}
    of_name = {one["file_name"]: re.search(group, one["file_name"]) for one in tree["images"]}
    text_of = {name: match.group() if match else name for name, match in of_name.items()}
    there, others = ({text for name, text in text_of.items() if (name in kept) is its} for its in (True, False))
    assert not (shares and group and there & others), f"{there & others} in two splits"
    return True


def groups(folder: Path, out: Path) -> bool:
    """Images are of one group if csv finds one patient in their rows."""
    with (folder / "groups.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    if len({*header}) < len(header):  # Of two columns of a name the first is taken.
        return False
    cells = [dict(zip(header, row, strict=False)) for row in rows]
    patients = {one.get("image", "").strip(): one.get("patient", "").strip() for one in cells}
    named = [
        (group, patients[name])
        for name, group in zip(inputs.GROUPED, groups_of_column(folder), strict=True)
        if patients.get(name)
    ]
    assert len({*named}) == len({group for group, _ in named}) == len({patient for _, patient in named}), named
    return bool(named)


def _pixels(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded), formats=_PICTURES))
