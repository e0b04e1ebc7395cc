"""TFLite and ONNX files from Python and by the commands, where only the packages that the docs name are installed."""

import json
import re
import subprocess
import sys

import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")

from tests.export import served_folders, stand_in
from tests.folders import REPOSITORY

OURS = {"tfrecog", "export"}
# What `pip install` of these brings, by the names that are imported.
BRINGS = {
    "numpy": {"numpy"}, "pillow": {"PIL"}, "absl-py": {"absl"}, "tqdm": {"tqdm"},
    "ai-edge-litert": {"ai_edge_litert", "backports", "flatbuffers", "ml_dtypes", "typing_extensions"},
    "onnxruntime": {"onnxruntime", "flatbuffers", "google", "packaging"},
}  # fmt: skip
CODE = """
import json, runpy, sys
allowed, source, commands = json.loads(sys.argv[1])
class Installed:
    finders = list(sys.meta_path)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {*allowed, *sys.stdlib_module_names}:
            return next(filter(None, (one.find_spec(name, path, target) for one in self.finders)), None)
sys.meta_path[:] = [Installed()]
import tfrecog
result = tfrecog.load(source).predict("photo.png")
result.draw().save("drawn.png")
print(result, result.names, len(result.to_coco()))
for other in (".", "maskrcnn_resnet50_fpn"):
    try:
        tfrecog.load(other)
    except tfrecog.UserError as error:
        print(error)
for module, *arguments in commands:
    sys.argv[1:] = arguments
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, ended
"""


@pytest.mark.parametrize(("kind", "runtime"), [("tflite", "ai-edge-litert"), ("onnx", "onnxruntime")])
def test_a_file_is_loaded_seen_with_drawn_and_measured(tmp_path, kind, runtime):
    install = re.search(rf"^pip install (numpy .*{runtime}.*)$", (REPOSITORY / "docs/python.md").read_text(), re.M)
    assert install
    allowed = OURS.union(*(BRINGS[name] for name in install[1].split("  ")[0].split()))
    path = stand_in.red_finder(tmp_path / "model.tflite", (96, 128))
    path = stand_in.onnx(path) if kind == "onnx" else path
    served_folders.save(tmp_path / "photo.png", served_folders.picture(720, 960, (160, 200, 400, 640)))
    commands = [
        ["tfrecog.predict", "photo.png", f"--model={path}", "--out=seen", "--threads=1", "--format=coco"],
        ["export.benchmark", f"--model={path}", "--image=photo.png", "--repeat=1"],
    ]
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{CODE}"
    given = json.dumps([sorted(allowed), str(path), commands])
    done = subprocess.run([sys.executable, "-c", code, given], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 detection: 1 dog (80%)> ['dog'] 1" in done.stdout and "1 of 1 images done" in done.stdout
    for other in (".", "maskrcnn_resnet50_fpn"):
        assert re.search(
            rf"^{re.escape(other)} is no TFLite or ONNX file, and \w+, which runs all else, is", done.stdout, re.M
        )
    assert "the model alone" in done.stdout and "INFO" not in done.stderr
    assert all(
        (tmp_path / name).is_file()
        for name in ("drawn.png", "seen/photo.jpg", "seen/detections.json", "seen/instances.json")
    )
