"""Speed and peak memory, beside torchvision's if PEER_PYTHON names an interpreter that has it.

  PEER_PYTHON=/path/to/python python -m benchmarks [--only=ops,models] [--runs=5] [--json=FILE]

Medians of alternating runs; ratio = our time / the peer's; a bar is the ratio this project wants. Peak memory is that
of a whole process, with its libraries.
"""

import argparse
import importlib
import json
from pathlib import Path

from benchmarks import machine, sides

CASES = ("ops", "models", "classifier", "segmenter", "lite", "saved_model", "input", "classification_input")
NO_PEER = """Ours alone. To compare, make an environment for the peer and name its interpreter:
  python -m venv peer && peer/bin/pip install torch torchvision pycocotools
  PEER_PYTHON=peer/bin/python python -m benchmarks"""


def main():
    options = parse()
    facts = machine.facts()
    print(f"{facts['processor']}, {facts['cores_used']} of {facts['cores']} cores, load {facts['load_before']:.1f}")
    print(" ".join(f"{name} {version}" for name, version in (facts["ours"] | (facts["peer"] or {})).items()))
    if not facts["peer"]:
        print(NO_PEER)
    rows = []
    for name in options.only:
        case = importlib.import_module(f"benchmarks.cases.{name}")
        print(f"\n{name}: {case.TITLE}\n{sides.HEADER}", flush=True)
        for row in case.measure(options):
            rows.append({"part": name, **row})
            write(options.json, {"machine": facts, "runs": options.runs, "images": options.images, "rows": rows})
    short = [row["case"] for row in rows if row.get("verdict") == "short"]
    print(f"\n{options.json}" + (f"; short of its bar: {', '.join(short)}" if short else ""))


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(CASES), help="of " + ",".join(CASES))
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each case")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"), help="file for the results")
    parser.add_argument("--images", type=Path, help="folder of photos for the input pipeline")
    parser.add_argument("--annotations", type=Path, help="COCO annotations of them")
    options = parser.parse_args()
    if unknown := set(options.only) - set(CASES):
        parser.error(f"--only has no part {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if (options.annotations and not options.images) or (
        "input" in options.only and options.images and not options.annotations
    ):
        parser.error("--images and --annotations belong together; classification_input alone needs only --images")
    if options.runs < 1:
        parser.error("--runs is at least 1")
    return options


def write(path, results):
    """What there is so far: a bench that is interrupted keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
