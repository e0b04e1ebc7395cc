"""The times and the memory of an exported file."""

import json

import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import benchmark
from export.artifact.canvas_model import CanvasModel
from tests.export import commands, served_folders, stand_in
from tfrecog.cli.errors import UserError
from tfrecog.inference import image_files


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    return stand_in.red_finder(tmp_path_factory.mktemp("finder") / "model.tflite", (96, 128))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    return served_folders.save(path, served_folders.picture(720, 960, (160, 200, 400, 640)))


def test_times_and_memory_are_measured(finder, photo, tmp_path, capsys, monkeypatch):
    report, calls = tmp_path / "times.json", {"run": 0, "predict": 0, "load": 0}

    def counting(owner, name):
        own = getattr(owner, name)

        def counted(*arguments):
            calls[name] += 1
            return own(*arguments)

        monkeypatch.setattr(owner, name, counted)

    counting(image_files, "load")
    counting(CanvasModel, "predict")
    counting(CanvasModel, "run")
    commands.run(benchmark, model=finder, image=photo, repeat=3, threads=1, json=report)
    measured = json.loads(report.read_text())
    # A warm-up and three times the model alone; as often the whole chain, which reads the file, too.
    assert calls == {"run": 8, "predict": 4, "load": 5}
    for name in ("model", "chain"):
        assert 0 < measured[name]["median"] <= measured[name]["p90"]
    assert measured["peak_mb"] > 10 and measured["threads"] == 1 and measured["photo"] == [720, 960]
    assert "3 runs on 1 thread, of a photo of 960 x 720" in capsys.readouterr().out


def test_onnx_files_are_measured_too(finder, photo, capsys):
    pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")
    commands.run(benchmark, model=stand_in.onnx(finder), image=photo, repeat=1)
    assert "of a photo of 960 x 720" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "message"), [
    ({"model": "nowhere.tflite"}, "nowhere.tflite: there is no such file"),
    ({"model": "model.h5"}, "--model=model.h5: name a file that ends in .tflite or .onnx"),
    ({"threads": 100000}, "--threads=100000: must be between 0 and 256"),
    ({"repeat": 0}, "--repeat=0: must be more than 0"),
    ({"json": "{photo}/a.json"}, "--json=.*a.png/a.json: .*a.png is no folder that can be written to"),
])  # fmt: skip
def test_wrong_flags_end_with_a_sentence(finder, photo, options, message):
    options = {name: str(value).format(photo=photo) for name, value in options.items()}
    with pytest.raises((UserError, FileNotFoundError), match=message):
        commands.run(benchmark, **{"model": finder, "image": photo} | options)


@pytest.mark.parametrize("size", [None, 13500])
def test_a_photo_that_cannot_be_read_is_named(finder, tmp_path, size):
    """A text, and 182 megapixels, which Pillow takes for a decompression bomb."""
    path = tmp_path / "a.png"
    if size:
        Image.new("1", (size, size)).save(path)
    else:
        path.write_text("hello")
    with pytest.raises(UserError, match=f"--image={path} cannot be read as an image: "):
        commands.run(benchmark, model=finder, image=path, repeat=1)
