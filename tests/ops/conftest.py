"""torchvision's answers: the stored ones, and fresh ones for other inputs where torchvision is at hand."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.folders import REFERENCE


@pytest.fixture(scope="session", params=["stored", "live"])
def torchvision(request, tmp_path_factory):
    """Inputs and answers of `reference/make_torchvision.py`, by name."""
    return answers("torchvision", request.param, tmp_path_factory)


@pytest.fixture(scope="session", params=["stored", "live"])
def torchvision_keypoints(request, tmp_path_factory):
    """Inputs and answers of `reference/make_torchvision_keypoints.py`, by name."""
    return answers("torchvision_keypoints", request.param, tmp_path_factory)


def answers(name, kind, tmp_path_factory):
    """The stored answers of a script, or its answers for other inputs."""
    if kind == "stored":
        return dict(np.load(REFERENCE / f"{name}.npz"))
    python = os.environ.get("PEER_PYTHON") or (importlib.util.find_spec("torchvision") and sys.executable)
    if not python:
        pytest.skip("torchvision is not installed here, nor does PEER_PYTHON name an interpreter that has it")
    path = tmp_path_factory.mktemp("reference") / f"{name}.npz"
    subprocess.run([python, REFERENCE / f"make_{name}.py", path, "1"], check=True)
    return dict(np.load(path))
