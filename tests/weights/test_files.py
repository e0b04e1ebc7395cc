"""Files of weights, good and bad; see reference/make_weight_files.py. Nothing here needs torch."""

import argparse
import collections
import io
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from tests.folders import REFERENCE
from tfrecog.weights.formats import pickle_reader
from tfrecog.weights.formats import read as files

FOLDER = REFERENCE / "weights"


@pytest.fixture(scope="module")
def tensors():
    return dict(np.load(FOLDER / "tensors.npz"))


def assert_same(got, expected):
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert (got[name].dtype, got[name].shape) == (value.dtype, value.shape), name
        assert got[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_the_tensors_of_both_formats_of_torch_are_read_to_the_bit(kind, tensors):
    assert len(tensors) > 15
    assert_same(files.read(FOLDER / f"{kind}.pth"), tensors)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_training_checkpoint_is_opened_and_it_is_said(kind, tensors):
    said = []
    got = files.read(FOLDER / f"{kind}_checkpoint.pth", said.append)
    assert_same(got, tensors)
    assert "'model'" in said[0] and "'module.'" in said[1]


def test_safetensors_are_read_with_bfloat16(tmp_path, tensors):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({name: np.array(value, order="C") for name, value in tensors.items()}, path)
    got = files.read(path)
    assert_same({name: got[name] for name in tensors}, tensors)
    # The upper half of a float32's bytes is the bfloat16: 1.5 is 0x3fc0, -2 is 0xc000.
    header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\xc0\x3f\x00\xc0")
    assert files.read(path)["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("protocol", range(6))
def test_detectron2s_pickles_are_read(tmp_path, protocol):
    rng = np.random.default_rng(0)
    state = {
        "backbone.stem.weight": rng.normal(size=(3, 4, 5)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "big": rng.normal(size=3).astype(">f4"),
        "number": np.float32(2.5),
    }
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": state, "__author__": "Detectron2 Model Zoo"}, protocol))
    got = files.read(path)
    assert list(got) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(got[name], value)


def test_the_pickles_of_python_2_are_read(tmp_path):
    # By hand: numpy.core, names and numbers as byte strings.
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    numbers = np.float32([1.5, -2e9]).tobytes()
    path = tmp_path / "old.pkl"
    path.write_bytes(b"\x80\x02}U\x01w" + array + b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + numbers + b"tbs.")
    assert files.read(path)["w"].tolist() == [1.5, -2e9]


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def archive(members, compression=zipfile.ZIP_STORED):
    """The bytes of a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


def carriers(content):
    """The pickle of `content` in each format that has one."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, []]
    return {
        "zip.pth": archive({"archive/data.pkl": pickle.dumps(content, 2), "archive/version": b"3\n"}),
        "legacy.pth": b"".join(pickle.dumps(part, 2) for part in parts),
        "plain.pkl": pickle.dumps(content, 2),
    }


@pytest.mark.parametrize("carrier", ["zip.pth", "legacy.pth", "plain.pkl"])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, carrier):
    trace = tmp_path / "executed"
    data = carriers({"model": {"weight": Evil(trace)}})[carrier]
    path = tmp_path / carrier
    path.write_bytes(data)
    with pytest.raises(files.WeightsError, match=rf"{path} is refused, and nothing in it was run.*asks for .*\.open"):
        files.read(path)
    assert not trace.exists()
    # The same bytes do run where pickles are trusted.
    start = data.index(pickle.dumps({"model": {"weight": Evil(trace)}}, 2))
    pickle.loads(data[start:])
    assert trace.exists()


# Ways to a function that is not in the list, through what is: by attribute, by a dotted name, by a registry.
ROUNDABOUT = {
    "dotted": b"\x80\x04\x8c\x0bcollections\x8c\x11OrderedDict.clear\x93.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "module": b"ccollections\nabc\n.",
    "import": b"cimportlib\nimport_module\n.",
    "numpy": b"cnumpy\nload\n.",
    "load_from_bytes": b"ctorch.storage\n_load_from_bytes\n.",
}


@pytest.mark.parametrize("way", ROUNDABOUT)
def test_what_is_beside_the_list_is_refused_too(tmp_path, way):
    path = tmp_path / "weights.pkl"
    path.write_bytes(ROUNDABOUT[way])
    with pytest.raises(files.WeightsError, match="is refused"):
        files.read(path)


STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x08tQ"
PUSHED = {name: b"c%s\n%s\n" % tuple(map(str.encode, name.rsplit(".", 1))) for name in sorted(pickle_reader.ALLOWED)}
PUSHED |= {"storage": STORAGE, "a list": b"]"}
# {"__defaults__": (), "name": (), "key": ()} as a state, and as the state of slots.
STATE = b"}(X\x0c\0\0\0__defaults__)X\x04\0\0\0name)X\x03\0\0\0key)u"


@pytest.mark.parametrize("state", [STATE, b"N" + STATE + b"\x86"], ids=["attributes", "slots"])
@pytest.mark.parametrize("place", PUSHED)
def test_no_pickle_changes_what_outlives_it(place, state):
    def load(more):
        return pickle_reader.Reader(io.BytesIO(b"\x80\x02" + PUSHED[place] + more + b".")).load()

    before = load(b"")
    with pytest.raises(pickle_reader.DAMAGE, match="a pickle that changes"):
        load(state + b"b")
    assert load(b"") == before


def test_a_call_and_what_it_is_to_have_are_noted_and_no_more(tmp_path):
    """An OrderedDict whose attribute is set, a set, and a Namespace: what training scripts leave beside the weights."""
    odd = collections.OrderedDict(a=np.float32([1, 2]))
    odd._metadata = {"version": 1}
    notes = {"model": odd, "sets": [{1}, frozenset([2])], "options": argparse.Namespace(steps=3), "by": {(1, "a"): 2}}
    notes |= {"bytes": {b"a": 1}, "types": [np.dtype("U5"), np.dtype("O")]}
    for protocol in range(2, 6):
        notes["names"] = {np.str_("cat")} if protocol < 4 else {}  # Later ones have a set in other steps.
        (tmp_path / "w.pkl").write_bytes(pickle.dumps(notes, protocol))
        assert files.read(tmp_path / "w.pkl")["a"].tolist() == [1, 2]


def test_an_item_of_an_array_is_not_set(tmp_path):
    """What changes what is read would have to be done, and not passed over."""
    whole = pickle.dumps(np.float32([0, 0]), 2)[:-1] + b"K\x00G" + struct.pack(">d", 5.0) + b"s."
    (tmp_path / "w.pkl").write_bytes(whole)
    with pytest.raises(files.WeightsError, match="changes an item of"):
        files.read(tmp_path / "w.pkl")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_pickled_module_is_refused_with_advice(kind):
    with pytest.raises(files.WeightsError, match=r"asks for torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        files.read(FOLDER / f"{kind}_module.pth")


def test_an_array_of_objects_is_refused(tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"w": np.array([{}, "text"], object)}))
    with pytest.raises(files.WeightsError, match="damaged or cut short"):
        files.read(path)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "weights.safetensors", "weights.pkl"])
def test_a_file_that_is_cut_anywhere_is_an_error_that_names_it(tmp_path, name, tensors):
    path = tmp_path / name
    if name.endswith("safetensors"):
        safetensors.numpy.save_file({"a": tensors["plain"]}, path)
    elif name.endswith("pkl"):
        path.write_bytes(pickle.dumps({"a": tensors["plain"]}, 2))
    else:
        path.write_bytes((FOLDER / name).read_bytes())
    whole = path.read_bytes()
    for length in {*range(0, len(whole), max(1, len(whole) // 40)), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(files.WeightsError, match=str(path)):
            files.read(path)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_damage_is_never_another_kind_of_error(kind, tmp_path):
    whole = np.frombuffer((FOLDER / f"{kind}.pth").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    path = tmp_path / "weights.pth"
    for _ in range(200):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
        path.write_bytes(damaged.tobytes())
        try:
            files.read(path)
        except files.WeightsError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  <!DOCTYPE html><title>404</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git-lfs pointer"),
        (archive({"net/weights.npy": b""}), r"without torch's data\.pkl"),
        (archive({"net/data.pkl": pickle.dumps({}), "net/code/__torch__.py": b""}), "TorchScript"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"GIF89a" + bytes(100), r"not a file of weights.*\.safetensors"),
        (pickle.dumps([1, 2, 3]), "holds a list and no weights"),
        (b"\x80\x02]q\x00h\x00a.", "damaged"),  # A list that holds itself.
        (pickle.dumps({}), "holds an empty dict and no weights"),
        (b"\x02\0\0\0\0\0\0\0{}", "holds an empty dict and no weights"),
        (pickle.dumps({"a": {"b": 1}}), 'holds a dict of "a" and no weights'),
        (pickle.dumps({"a": np.ones(2), "step": 3}), '"step" are not tensors'),
    ],
)
def test_what_is_not_weights_is_named(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(files.WeightsError, match=f"{path}.*{words}"):
        files.read(path)


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path):
    parts = zipfile.ZipFile(FOLDER / "zip.pth")
    pickled = parts.read("zip/data.pkl")
    sizes = b"K\x04K\x06\x86"  # (4, 6), the size of the first tensor
    assert sizes in pickled
    path, members = tmp_path / "weights.pth", {name: parts.read(name) for name in parts.namelist()}
    members["zip/data.pkl"] = pickled.replace(sizes, b"K\x05K\x06\x86", 1)
    path.write_bytes(archive(members))
    with pytest.raises(files.WeightsError, match="larger than its storage"):
        files.read(path)


def tensors_of_a_storage(count, names):
    """The pickle of a state dict of views, each of the first number of storage a."""
    storage = STORAGE.replace(b"K\x08", b"J" + count.to_bytes(4, "little"))
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89NtR"
    return b"\x80\x02}" + b"".join(b"X%s%ss" % (len(n).to_bytes(4, "little") + n, view) for n in names) + b"."


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused_with_advice(tmp_path, compression):
    path = tmp_path / "weights.pth"
    data = archive({"w/data.pkl": tensors_of_a_storage(1000, [b"w"]), "w/data/a": bytes(4000)}, compression)
    start = data.index(b"w/data/a") + len(b"w/data/a")
    path.write_bytes(data[:start] + b"\xff\xff" + data[start + 2 :])  # And its stream is damaged.
    with pytest.raises(files.WeightsError, match=f"{path} is a compressed zip archive.*zip -0"):
        files.read(path)


def test_a_storage_of_many_tensors_is_read_once(tmp_path, monkeypatch):
    path, reads = tmp_path / "weights.pth", []
    members = {
        "w/data.pkl": tensors_of_a_storage(4, [b"a", b"b", b"c"]),
        "w/data/a": np.float32([7, 0, 0, 0]).tobytes(),
    }
    path.write_bytes(archive(members))
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *args: reads.append(args[1]) or read(*args))
    got = files.read(path)
    assert [float(got[name][0]) for name in "abc"] == [7, 7, 7]
    assert len([name for name in reads if "data/a" in getattr(name, "filename", name)]) == 1


def in_each_other(start, twice, depth=60):
    """Something that holds one thing twice, which holds one thing twice…: 2**depth paths."""
    levels = (b"h%ch%c%sq%c" % (level, level, twice, level + 1) for level in range(depth))
    return b"\x80\x02" + start + b"q\x00" + b"".join(b"0" + level.replace(b"h", b"(h", 1) for level in levels)


ENDLESS = {
    "lists": (in_each_other(b"]", b"l") + b"}X\x01\0\0\0ah<s.", "no weights by name"),
    "tuples": (in_each_other(b")", b"t") + b"}X\x01\0\0\0ah<s.", "no weights by name"),
    "a key": (in_each_other(b")", b"t") + b"}h<K\x01s.", "other keys than names"),
    "a key among others": (in_each_other(b")", b"t") + b"}(h<K\x01u.", "other keys than names"),
    "a key of a dict with items": (in_each_other(b")", b"t") + b"cbuiltins\ndict\n]h<K\x01\x86a\x85R.", "other keys"),
    "part of a set": (in_each_other(b")", b"t") + b"\x8f(h<\x90.", "no weights by name"),
    "a storage's name": (in_each_other(b")", b"t") + b"(X\x07\0\0\0storageX\x05\0\0\0Floath<NK\x01tQ.", "unknown kind"),
    "what to remember": (b"\x80\x02Nr\0\0\0\x70.", "no weights by name"),
    "a length": (b"\x80\x05\x96\0\0\0\0\x01\0\0\0.", "damaged or cut short"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_small_file_takes_neither_for_ever_nor_all_memory(tmp_path, what):
    path = tmp_path / "weights.pkl"
    content, words = ENDLESS[what]
    path.write_bytes(content)
    # In a process of its own, since a step in C cannot be ended otherwise.
    code = "from tfrecog.weights.formats import read as files\n"
    code += f"try: files.read({str(path)!r})\nexcept files.WeightsError as e: print(e)"
    limit = (3 << 30, 3 << 30)
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
        check=False,
    )
    assert str(path) in result.stdout and words in result.stdout, result


def test_a_folder_is_not_a_file_and_those_in_it_are_named(tmp_path):
    with pytest.raises(files.WeightsError, match=rf"{tmp_path} is a folder; name a file$"):
        files.read(tmp_path)
    (tmp_path / "model.pth").touch()
    with pytest.raises(files.WeightsError, match=r'is a folder; name a file in it, such as "model\.pth"'):
        files.read(tmp_path)
