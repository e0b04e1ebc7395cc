"""Files of weights, good and bad; see reference/make_weight_files.py. Nothing here needs torch."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tfrecog.weights import files

FOLDER = Path(__file__).resolve().parent.parent / "reference" / "weights"


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


def carriers(content):
    """The pickle of `content` in each format that has one."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(content, 2))
        file.writestr("archive/version", "3\n")
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, []]
    return {
        "zip.pth": archive.getvalue(),
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
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"GIF89a" + bytes(100), r"not a file of weights.*\.safetensors"),
        (pickle.dumps([1, 2, 3]), "holds a list and no weights"),
        (b"\x80\x02]q\x00h\x00a.", "damaged"),  # A list that holds itself.
        (pickle.dumps({"a": {"b": 1}}), 'holds a dict of "a" and no weights'),
        (pickle.dumps({"a": np.ones(2), "step": 3}), '"step" are not tensors'),
    ],
)
def test_what_is_not_weights_is_named(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(files.WeightsError, match=f"{path}.*{words}"):
        files.read(path)


def test_archives_that_are_not_weights_are_named(tmp_path):
    path = tmp_path / "weights.pth"
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    with pytest.raises(files.WeightsError, match=r"without torch's data\.pkl"):
        files.read(path.with_suffix(".npz"))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", pickle.dumps({}))
        file.writestr("net/code/__torch__.py", "")
    with pytest.raises(files.WeightsError, match="TorchScript"):
        files.read(path)


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path):
    parts = zipfile.ZipFile(FOLDER / "zip.pth")
    pickled = parts.read("zip/data.pkl")
    sizes = b"K\x04K\x06\x86"  # (4, 6), the size of the first tensor
    assert sizes in pickled
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as file:
        for name in parts.namelist():
            data = parts.read(name)
            file.writestr(name, data.replace(sizes, b"K\x05K\x06\x86", 1) if name == "zip/data.pkl" else data)
    with pytest.raises(files.WeightsError, match="larger than its storage"):
        files.read(path)
