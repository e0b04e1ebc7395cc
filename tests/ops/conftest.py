"""torchvision's answers: the stored ones, and fresh ones for other inputs where torchvision is at hand."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).resolve().parent.parent / "reference"


@pytest.fixture(scope="session", params=["stored", "live"])
def torchvision(request, tmp_path_factory):
    """Inputs and answers of `reference/make_torchvision.py`, by name."""
    if request.param == "stored":
        return dict(np.load(REFERENCE / "torchvision.npz"))
    python = os.environ.get("PEER_PYTHON") or (importlib.util.find_spec("torchvision") and sys.executable)
    if not python:
        pytest.skip("torchvision is not installed here, nor does PEER_PYTHON name an interpreter that has it")
    path = tmp_path_factory.mktemp("reference") / "torchvision.npz"
    subprocess.run([python, REFERENCE / "make_torchvision.py", path, "1"], check=True)
    return dict(np.load(path))
