"""A TFLite file behind the same protocols: the answers are those of the file, in a process without TensorFlow."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")
pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import serve
from export.litert.reader import LiteModel
from export.server import client_protocols
from tests.export import commands, servers, stand_in
from tests.export.served_folders import encoded, picture
from tests.folders import REPOSITORY
from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy
from tfrecog.inference.result_files import Detections

PICTURES = {name: encoded(pixels) for name, pixels in {
    "small": picture(40, 60, (5, 10, 30, 40)), "wide": picture(70, 200, (0, 0, 60, 90)), "empty": picture(33, 21),
}.items()}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite")
    return {
        "detection": stand_in.red_finder(folder / "finder.tflite", (64, 96)),
        "classification": stand_in.colours(folder / "colours.tflite", 24, 28),
        "segmentation": stand_in.grays(folder / "grays.tflite", (32, 48)),
    }


def test_detections_are_those_of_the_file_by_each_protocol(files):
    model, path = LiteModel(files["detection"]), files["detection"]

    def story(server):
        for content in PICTURES.values():
            pixels = image_numpy.decode(content)
            expected = Detections.of(model.predict(pixels), pixels.shape[:2])
            asked = [client_protocols.by_v1, client_protocols.by_v2, client_protocols.by_grpc]
            for ask in asked:
                got = ask(server.grpc if ask is client_protocols.by_grpc else server.url, "finder", content)
                np.testing.assert_array_equal(np.float32(got["detection_scores"]), expected.scores)
                np.testing.assert_allclose(np.reshape(got["detection_boxes"], [-1, 4]), expected.boxes, atol=1e-4)
                masks = [one | {"counts": one["counts"].decode()} for one in expected.masks]
                assert got["detection_masks"] == masks
                assert [*got["detection_class_names"]] == [("cat", "dog")[label - 1] for label in expected.labels]
        told = json.loads(server.ask("GET", "/v2/models/finder")[2])
        outputs = {one["name"]: (one["datatype"], one["shape"]) for one in told["outputs"]}
        assert told["platform"] == "tflite" and outputs["detection_boxes"] == ("FP32", [-1, -1, 4])
        assert outputs["detection_class_names"] == ("BYTES", [-1, -1]) and outputs["image_size"] == ("INT32", [-1, 2])

    servers.beside(path, story)


def test_classes_and_label_maps_are_those_of_the_file(files):
    both = f"{files['classification']},{files['segmentation']}"
    colours, grays = LiteModel(files["classification"]), LiteModel(files["segmentation"])

    def story(server):
        for content in PICTURES.values():
            pixels, one = image_numpy.decode(content), {"b64": base64.b64encode(content).decode()}
            (got,) = server.predict([one])
            scores = colours.predict(pixels)["scores"]
            np.testing.assert_array_equal(np.float32(got["scores"]), scores)
            assert got["classes"] == [("red", "green", "blue")[i] for i in np.argsort(-scores, kind="stable")]
            assert got["class_scores"] == sorted(got["scores"], reverse=True)
            body = json.dumps({"instances": [one]})
            (got,) = json.loads(server.ask("POST", "/v1/models/grays:predict", body)[2])["predictions"]
            np.testing.assert_array_equal(got["labels"], grays.predict(pixels)["labels"])

    servers.beside(files["classification"], story, model=both)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has loaded")
def test_the_process_has_no_tensorflow(files, tmp_path):
    """In a process of its own, since those of the other tests are forked from one that has it."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "export.serve", f"--model={files['detection']}", "--port=0", "--grpc_port=0"]
    with log.open("w") as file, subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file) as process:
        try:
            servers.until(lambda: "Try it" in log.read_text() or process.poll() is not None)
            server = servers.Address("finder", log.read_text())
            assert len(client_protocols.by_grpc(server.grpc, "finder", PICTURES["small"])["detection_scores"]) == 2
            loaded = Path(f"/proc/{process.pid}/maps").read_text()
            assert "litert" in loaded and "/tensorflow/" not in loaded
        finally:
            process.terminate()
    assert "loading TensorFlow" not in log.read_text() and process.returncode == 0


def test_what_cannot_be_served_is_said(files, tmp_path):
    with pytest.raises(UserError, match=r"--watch: .* is a version"):
        commands.run(serve, model=files["detection"], watch=True, port=0, grpc_port=0)
    (tmp_path / "notes.tflite").write_text("no model")
    with pytest.raises(UserError, match="is not a TFLite file"):
        commands.run(serve, model=tmp_path / "notes.tflite", port=0, grpc_port=0)
