"""LiteRT's GPU delegate on this machine: on a GPU, or on SwiftShader, the software Vulkan that Chromium brings along.

python -m tests.export.gpu model.tflite inputs.npz outputs.npz
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.folders import REPOSITORY

_CHROMIUM = Path("/usr/lib/chromium")
_COUNTS = re.compile(r"(?:(\d+)|No) operations will run on the GPU, and (?:all|the remaining) (\d+)")
_NAME = re.compile(r"^([A-Z0-9_]+): ", re.MULTILINE)


def run(content: bytes, inputs: dict, folder: Path) -> tuple[dict, list[tuple[int, int]], set[str]]:
    """Outputs of a TFLite file by name, of each subgraph how many operations ran on the GPU and how many not, and the
    names of refused operations; nothing of a subgraph that is taken whole. Skips the test where there is no Vulkan.
    """
    (folder / "model.tflite").write_bytes(content)
    np.savez(folder / "inputs.npz", **inputs)
    command = [
        sys.executable,
        "-m",
        "tests.export.gpu",
        *(str(folder / f) for f in ("model.tflite", "inputs.npz", "outputs.npz")),
    ]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=_environment(folder), capture_output=True, text=True, timeout=300
    )
    if "No adapters found" in done.stderr:
        pytest.skip("LiteRT finds no GPU here that it can use, nor SwiftShader")
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "outputs.npz") as outputs:
        found = dict(outputs)
    counts = [(int(gpu or 0), int(cpu)) for gpu, cpu in _COUNTS.findall(done.stderr)]
    return found, counts, {*_NAME.findall(done.stderr)} - {"INFO", "WARNING", "ERROR"}


def _environment(folder):
    environment = dict(os.environ)
    if "VK_ICD_FILENAMES" in environment:
        return environment
    library = _CHROMIUM / "libvk_swiftshader.so"
    try:
        ctypes.CDLL("libvulkan.so.1")
    except OSError:
        pytest.skip("libvulkan.so.1 is not installed, by which LiteRT finds a GPU")
    if not library.is_file():
        pytest.skip(f"{library}, a Vulkan without a GPU, is not installed: Debian's package chromium has it")
    driver = {"file_format_version": "1.0.0", "ICD": {"library_path": str(library), "api_version": "1.0.5"}}
    (folder / "driver.json").write_text(json.dumps(driver))
    return environment | {"VK_ICD_FILENAMES": str(folder / "driver.json")}


def main(model, inputs, outputs):
    from ai_edge_litert.interpreter import Interpreter

    from export.litert.on_gpu import Compiled

    runner = Interpreter(model_path=model).get_signature_runner("serving_default")
    compiled = Compiled(model, 2, runner.get_input_details(), runner.get_output_details())
    with np.load(inputs) as values:
        np.savez(outputs, **compiled(**values))


if __name__ == "__main__":
    main(*sys.argv[1:])
