"""The facts of a process that a report of a bug needs; without the names of people, and without secrets."""

import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import tfrecog
from tfrecog.runtime import cores, onednn

# What computes, reads or serves; those that are not there belong to an extra.
_PACKAGES = (
    "tensorflow", "keras", "numpy", "pillow", "h5py", "protobuf", "absl-py", "pycocotools", "faster-coco-eval",
    "safetensors", "tensorflow-datasets", "tensorboard", "matplotlib", "opencv-contrib-python-headless", "scikit-learn",
    "scipy", "uvicorn", "grpcio", "ai-edge-litert", "ai-edge-quantizer", "onnx", "onnxruntime", "tf2onnx",
)  # fmt: skip
# Variables by which the libraries are set; others that begin with TF_ are of Terraform, and may be secret.
_VARIABLES = re.compile(
    r"(TF_(CPP|CUBLAS|CUDNN|DETERMINISTIC|DISABLE|ENABLE|FORCE|GPU|NUM|SET|USE|XLA)_\w+|TF2_\w+|XLA_FLAGS|ONEDNN_\w+|"
    r"DNNL_\w+|KERAS_(BACKEND|HOME)|CUDA_(VISIBLE_DEVICES|DEVICE_ORDER)|NVIDIA_TF32_OVERRIDE|OMP_\w+|TFRECOG_\w+)"
)
_ISA = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve")


def facts() -> dict[str, Any]:
    """By name versions, the machine, its devices as TensorFlow sees them, and what is set in the environment."""
    found = {
        "tfrecog": " ".join(filter(None, (tfrecog.version(), commit()))),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": f"{_cores()} of {os.cpu_count()}",
        "memory": _memory(),
        "packages": {name: _version(name) for name in _PACKAGES},
        # TensorFlow sets some itself when it is imported.
        "variables": {one: _anonymous(os.environ[one]) for one in sorted(filter(_VARIABLES.fullmatch, os.environ))},
    }
    try:
        import tensorflow as tf

        found["packages"] |= versions("tensorflow")
        gpus = [tf.config.experimental.get_device_details(one) for one in tf.config.list_physical_devices("GPU")]
        found |= {"gpus": [one.get("device_name", "unknown") for one in gpus], "onednn": onednn.description()}
    except ImportError as error:
        found["gpus"] = f"TensorFlow cannot be imported: {_anonymous(str(error))}"
    return found


def versions(*modules: str) -> dict[str, str]:
    """By name the versions of modules: a package of another name may bring one, as tf-nightly does tensorflow."""
    return {name: importlib.import_module(name).__version__ for name in modules}


def text(facts: dict[str, Any]) -> str:
    """The facts, one a line."""
    lines = []
    for name, value in facts.items():
        rows = value if isinstance(value, dict) else {"": value}
        for each, one in rows.items():
            shown = ", ".join(map(str, one)) or "none" if isinstance(one, list) else one
            lines.append(f"{each or name:32}{shown}")
    return "\n".join(lines)


def commit() -> str:
    """The commit of a checkout, and whether files were changed since; empty where it is none."""
    if not (tfrecog.HOME / ".git").exists():
        return ""
    command = ["git", "-C", str(tfrecog.HOME), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "(a checkout)"
    return f"(commit {done.stdout.strip()})" if done.returncode == 0 else "(a checkout)"


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    """Its name, and those of its instructions that decide which kernels are chosen."""
    lines = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE))
    has = {*(lines.get("flags") or lines.get("Features") or "").split()}
    name = lines.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(one for one in _ISA if one in has) or 'instructions unknown'})"


def _cores() -> float | int:
    """Those that this process may use, by its affinity and by the time that a container grants."""
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    granted = float(quota) / float(period) if quota.isdigit() else float("inf")
    return cores.usable() if granted >= cores.usable() else round(granted, 1)


def _memory() -> str:
    """Of the machine, or as much as a container grants."""
    total = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    granted = _read("/sys/fs/cgroup/memory.max").strip()
    known = ([int(total[1]) * 1024] if total else []) + ([int(granted)] if granted.isdigit() else [])
    return f"{min(known) / 2**30:.1f} GiB" if known else "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _anonymous(value: str) -> str:
    """Without the name of the user, which is in paths."""
    home = os.path.expanduser("~")  # "~" where there is no home
    return value.replace(home, "~") if len(home) > 1 else value
