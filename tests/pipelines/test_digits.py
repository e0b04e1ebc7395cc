import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipelines import digits
from pipelines.build.problems import Refused
from pipelines.formats import idx_npz
from tfrecog.data import index, info

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, 5, 4), np.uint8)  # higher than wide
LABELS = np.array([3, 1, 4, 1, 5, 9, 0], np.uint8)


def _idx(array, kind=0x08):
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype({0x08: ">u1", 0x0D: ">f4"}[kind]).tobytes()


def _write(folder, images=IMAGES, labels=LABELS, kind=0x08):
    (folder / "images.idx").write_bytes(_idx(images, kind))
    (folder / "labels.idx").write_bytes(_idx(labels))
    return {"images": str(folder / "images.idx"), "labels": str(folder / "labels.idx")}


def _flags(folder, split="train", **flags):
    return digits.Digits(out=str(folder), split=split, jobs=1, **flags)


def _pixels(record):
    return np.asarray(Image.open(io.BytesIO(record.encoded)))


def test_records_hold_the_pixels_and_labels_of_the_files(tmp_path, read_all, capsys):
    digits.main(_flags(tmp_path / "out", **_write(tmp_path)))
    printed = capsys.readouterr()
    assert "bytes as they are" in printed.err and "train has 7 images of 10 classes" in printed.out
    read = read_all(tmp_path / "out", "train")
    np.testing.assert_array_equal([_pixels(record) for record in read], IMAGES)
    assert [record.label - 1 for record in read] == LABELS.tolist()
    assert [record.class_name for record in read] == [str(label) for label in LABELS]
    assert [(record.format, record.height, record.width) for record in read] == [("png", 5, 4)] * 7
    assert [record.source_id for record in read] == [str(position) for position in range(7)]
    facts = info.load(tmp_path / "out")
    assert facts.image_labels and [category.id for category in facts.categories] == list(range(10))
    assert index.load(tmp_path / "out", "train").label.tolist() == (LABELS + 1).tolist()


def test_the_real_digits_are_all_there(shared_data, tmp_path, read_all):
    folder = shared_data / "mnist_small"
    images = idx_npz.idx(str(folder / "t10k-images-idx3-ubyte.gz"))
    labels = idx_npz.idx(str(folder / "t10k-labels-idx1-ubyte.gz"))
    made = digits.build(images, labels, _flags(tmp_path, "val"))
    assert made.split.images == 500 and not made.problems
    read = read_all(tmp_path, "val")
    np.testing.assert_array_equal([_pixels(record) for record in read], images)
    # The files by hand: the labels follow 8 bytes of header.
    assert [r.label - 1 for r in read] == list(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (IMAGES / np.float32(255), "0 (black) to 1 (white) became bytes 0 to 255 exactly"),
        ((IMAGES / 127.5 - 1).astype(np.float32), "-1 (black) to 1 (white) became bytes 0 to 255 exactly"),
        (IMAGES.astype(np.float64), "0 (black) to 255 (white) became bytes 0 to 255 exactly"),
        (IMAGES.astype(np.int64), "bytes as they are"),
        (IMAGES[..., None], "bytes as they are"),
    ],
)
def test_every_way_to_write_a_byte_gives_the_byte_back(array, words):
    pixels, how = idx_npz.pictures(array, "a.npz")
    np.testing.assert_array_equal(pixels, IMAGES)
    assert how.endswith(words)


@pytest.mark.parametrize(
    ("array", "bounds", "expected", "words"),
    [
        # 0.1 is level 25.5, half a level from both neighbours, and even numbers are preferred.
        (np.array([[[0.0, 0.1, 1.0]]]), (), [[[0, 26, 255]]], "by rounding, by at most 0.50 of a level"),
        # 16 of 0..16 (scikit-learn's digits) is white with --range; nothing else tells.
        (np.array([[[0, 8.0, 16]]]), (0, 16), [[[0, 128, 255]]], "by rounding, by at most 0.50 of a level"),
        (np.array([[[0, 1]]], np.uint8), (), [[[0, 255]]], "exactly"),
        (np.array([[[False, True]]]), (), [[[0, 255]]], "exactly"),
        (np.arange(18, dtype=np.uint8).reshape(2, 9), (), np.arange(18).reshape(2, 3, 3), "bytes as they are"),
        (np.zeros([2, 5, 4, 3], np.uint8), (), np.zeros([2, 5, 4, 3]), "bytes as they are"),
    ],
)
def test_values_become_levels_by_what_is_black_and_white(array, bounds, expected, words):
    pixels, how = idx_npz.pictures(array, "a", bounds)
    np.testing.assert_array_equal(pixels, expected)
    assert how.endswith(words)


def test_one_hot_labels_and_columns_are_numbers():
    assert idx_npz.labels_of(np.eye(10)[LABELS], "a", 7, "b").tolist() == LABELS.tolist()
    assert idx_npz.labels_of(LABELS[:, None].astype(float), "a", 7, "b").tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("split", "keys", "taken"),
    [
        ("train", ["x_train", "y_train", "x_test", "y_test"], "x_train and y_train"),
        ("val", ["x_train", "y_train", "x_test", "y_test"], "x_test and y_test"),
        ("val", ["train_images", "train_labels", "val_images", "val_labels"], "val_images and val_labels"),
        ("train", ["images", "labels"], "images and labels"),
    ],
)
def test_the_keys_of_the_split_are_taken(tmp_path, split, keys, taken):
    arrays_of = {key: LABELS if key[0] == "y" or "label" in key else IMAGES for key in keys}
    np.savez(tmp_path / "a.npz", **arrays_of)
    images, labels, found = idx_npz.npz(str(tmp_path / "a.npz"), split)
    assert " and ".join(found) == taken
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_colour_from_an_npz_with_names_of_its_own(tmp_path, read_all):
    colour = RNG.integers(0, 256, (2, 3, 6, 3), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", what=colour, which=[2, 1])
    (tmp_path / "classes.txt").write_text("hen\nox\n")
    keys = {"npz": str(tmp_path / "a.npz"), "npz_images": "what", "npz_labels": "which"}
    digits.main(_flags(tmp_path / "out", **keys, classes=str(tmp_path / "classes.txt"), first_label=1))
    read = read_all(tmp_path / "out", "train")
    np.testing.assert_array_equal([_pixels(record) for record in read], colour)
    assert [(record.label, record.class_name) for record in read] == [(2, "ox"), (1, "hen")]


def test_a_label_outside_the_list_is_reported_and_left_out(tmp_path, read_all):
    labels = LABELS.copy()
    labels[2] = 10
    made = digits.build(IMAGES, labels, _flags(tmp_path / "out"))
    (problem,) = made.problems
    assert "train-2.png, image 2: its label is 10; there are the classes 0 to 9" in str(problem)
    assert [record.source_id for record in read_all(tmp_path / "out", "train")] == list("013456")
    with pytest.raises(Refused, match="--strict, and there is 1 problem"):
        digits.build(IMAGES, labels, _flags(tmp_path / "strict", strict=True))


def test_labels_that_count_from_1_are_not_taken_for_labels_from_0(tmp_path):
    with pytest.raises(Refused, match="seem to count from 1: add --first_label=1"):
        digits.build(IMAGES, np.arange(1, 8), _flags(tmp_path), "abcdefg")


def _damaged(data):
    """A gzip stream with one byte of its content changed."""
    stream = bytearray(gzip.compress(data, mtime=0))
    stream[60] ^= 255
    return bytes(stream)


IDX = {
    "magic": lambda data: b"\x89PNG" + data[4:],
    "header": lambda data: data[:9],
    "short": lambda data: data[:-3],
    "long": lambda data: data + b"!",
    "gzip": lambda data: gzip.compress(data)[:-30],
    "gzip damaged": _damaged,
    "dimensions": lambda data: bytes([0, 0, 8, 70]) + b"\0\0\0\1" * 70 + b"x",
    "bomb": lambda data: gzip.compress(bytes([0, 0, 8, 3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0]) + bytes(2**28)),
    "stated": lambda data: bytes([0, 0, 8, 3]) + b"\x7f\xff\xff\xff" * 3 + b"x",
    "values": lambda data: _idx(IMAGES.astype(np.float32) - 300, 0x0D),
}
NPZ = {"keys": {"pictures": IMAGES}, "objects": {"x": np.array([{}]), "y": LABELS}}


def _spoil(folder, how):
    """Flags of `read` with one thing wrong."""
    both, npz = _write(folder), str(folder / "a.npz")
    images, labels = folder / "images.idx", folder / "labels.idx"
    if how in IDX:
        images.write_bytes(IDX[how](images.read_bytes()))
    elif how in NPZ:
        np.savez(npz, **NPZ[how])
        return {"npz": npz}
    elif how == "no npz":
        (folder / "a.npz").write_bytes(b"PK\x03\x04 no more")
        return {"npz": npz}
    elif how == "npz bytes":
        with zipfile.ZipFile(npz, "w") as file:
            for name in ("x.npy", "y.npy"):
                file.writestr(name, b"no array")
        return {"npz": npz}
    elif how in ("npz compression", "npz encrypted", "npz bomb"):
        np.savez_compressed(npz, x=np.zeros([1, 16384, 16384], np.uint8) if how == "npz bomb" else IMAGES, y=LABELS)
        content = bytearray((folder / "a.npz").read_bytes())
        entry = content.index(b"PK\1\2")  # of the first file, in the directory; its header is where the file begins
        if how == "npz compression":
            content[8] = content[entry + 10] = 97
        elif how == "npz encrypted":
            content[6] |= 1
            content[entry + 8] |= 1
        (folder / "a.npz").write_bytes(content)
        return {"npz": npz}
    elif how == "counts":
        labels.write_bytes(_idx(LABELS[:5]))
    elif how == "swapped":
        return {"images": str(labels), "labels": str(images)}
    elif how == "missing":
        images.unlink()
    elif how == "alone":
        return {"images": str(images)}
    elif how == "one key":
        return {"npz": npz, "npz_images": "x"}
    return both


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("magic", r"images\.idx is not an IDX file: it starts with 89 50 4e 47"),
        ("header", r"images\.idx is cut short: 9 bytes, less than its header"),
        ("short", r"images\.idx is cut short: its header says 7 x 5 x 4, 156 bytes, and it has 153. Download"),
        ("long", r"images\.idx is too long"),
        ("gzip", r"images\.idx is cut short: the gzip stream has no end"),
        ("gzip damaged", r"images\.idx is damaged: "),
        ("counts", r"images\.idx has 7 images and .*labels\.idx has 5 labels"),
        ("swapped", r"labels\.idx: images of shape \[7\].*swapped"),
        ("missing", r"No such file or directory: .*images\.idx"),
        ("alone", r"give --images=IDX and --labels=IDX, or --npz=FILE"),
        ("one key", r"give both, and --npz=FILE"),
        (
            "keys",
            r"a\.npz does not have the keys x_train and y_train, or x and y; it has pictures\. Name them with --npz_im",
        ),
        ("npz bytes", r"a\.npz is not a valid NPZ file of plain arrays \(x or y is no array\)"),
        ("objects", r"a\.npz is not a valid NPZ file of plain arrays"),
        ("no npz", r"a\.npz is not a valid NPZ file"),
        ("npz compression", r"a\.npz is not a valid NPZ file"),
        ("npz encrypted", r"a\.npz is not a valid NPZ file"),
        ("npz bomb", r"a\.npz \(x\) has \d+,\d+ bytes, and would become 268,4\d+,\d+ in memory"),
        ("dimensions", r"images\.idx is not an IDX file: .* the number of dimensions \(1 to 4\)"),
        (
            "bomb",
            r"images\.idx has 26\d,\d+ bytes, and would become 268,435,456 in memory, more than 250 times as many",
        ),
        ("stated", r"images\.idx has 17 bytes, and would become"),
        ("values", r"images\.idx: values from -300 to -\d+, expected -1 \(black\) to 1 \(white\); give their range"),
    ],
)
def test_what_is_wrong_with_the_input_is_said_with_its_file(tmp_path, how, message):
    with pytest.raises(FileNotFoundError if how == "missing" else Refused, match=message):
        digits.read(_flags("out", **_spoil(tmp_path, how)))


@pytest.mark.parametrize("size", [-1, 3])
def test_files_of_a_gzip_and_of_any_image_size_are_read(tmp_path, size):
    array = RNG.integers(0, 256, (2, 16, 16) if size < 0 else (2, 40, size), np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(_idx(array)))
    np.testing.assert_array_equal(idx_npz.idx(str(tmp_path / "a.gz")), array)


def test_digits_are_shared_out_and_renamed(tmp_path, read_all):
    labels = np.array([1, 2, 1, 2, 3, 3, 9])
    options = {"shares": ("train:0.5", "val:0.5"), "rename": ("1:low", "2:low", "9:")}
    names = {}
    for split in ("train", "val"):
        assert not digits.build(IMAGES, labels, _flags(tmp_path / "out", split, **options)).problems
        names[split] = {record.filename: record.class_name for record in read_all(tmp_path / "out", split)}
    assert names["train"] | names["val"] == dict.fromkeys(("0.png", "1.png", "2.png", "3.png"), "low") | dict.fromkeys(
        ("4.png", "5.png"), "3"
    )
    assert sorted(names["train"].values()) == sorted(names["val"].values()) == ["3", "low", "low"]
    facts = info.load(tmp_path / "out")
    assert [(one.name, one.id) for one in facts.categories][:3] == [("0", 0), ("low", 1), ("3", 3)]


def test_arrays_of_which_split_are_shared_out_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS)
    with pytest.raises(Refused, match="--shares is of two arrays of --npz: name them with --npz_images"):
        digits.read(_flags(tmp_path, npz=str(tmp_path / "a.npz"), shares=("train:1",)))
