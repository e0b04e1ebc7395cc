"""The whole interface in one process, beside the modules of all commands, and in a kernel of Jupyter."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")

from tests.commands import COMMANDS
from tests.folders import REPOSITORY


def test_the_import_loads_nothing_and_lists_what_there_is():
    code = (
        "import sys; before = set(sys.modules)\nimport tfrecog\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded - set(sys.stdlib_module_names)), set(tfrecog.__all__) <= set(dir(tfrecog)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "['tfrecog'] True\n", done.stderr


def test_everything_works_in_a_kernel_beside_all_commands(tmp_path, monkeypatch):
    """The arguments of a kernel's process are not ours: -f FILE."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat, which writes notebooks, is not installed")
    client = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not installed")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    code = f"from tests.api import every_function\nevery_function.run({str(tmp_path)!r}, {COMMANDS!r})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    assert "all called" in "".join(out.get("text", "") for out in notebook.cells[0].outputs)


@pytest.mark.long
def test_everything_works_in_a_process_beside_all_commands(tmp_path):
    program = [sys.executable, "tests/api/every_function.py", str(tmp_path), ",".join(COMMANDS)]
    done = subprocess.run(
        program, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "all called" in done.stdout, done.stderr
