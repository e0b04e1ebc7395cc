"""Mask R-CNN ResNet-50-FPN: inference and a training step, beside torchvision's with the same weights and inputs.

PEER_PYTHON=… python benchmarks/models.py [--json=FILE]     (without a peer, our side alone)
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import sides

HERE = Path(__file__).parent
CASES = ("Mask R-CNN R50-FPN, 1 image 800x1216", "training step, 2 images 480x640")


def measure(runs: int = 7) -> list[dict]:
    """A row (see `sides.compare`) for each case."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ()
        if sides.PEER_PYTHON:
            arguments = (f"{folder}/weights.npz",)
            subprocess.run([sides.PEER_PYTHON, HERE / "peer_models.py", "weights", *arguments], check=True)
        ours, peer = str(HERE / "ours_models.py"), str(HERE / "peer_models.py")
        return [sides.compare(case, (ours, *arguments), (peer, *arguments), runs) for case in CASES]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    rows = measure()
    print(sides.table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
