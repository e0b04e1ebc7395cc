"""Speed and peak memory, beside torchvision's if PEER_PYTHON names an interpreter that has it.

  PEER_PYTHON=/path/to/python python -m benchmarks [--only=ops,models] [--runs=5] [--json=FILE]

Medians of alternating runs; ratio = our time / the peer's; a bar is the ratio this project wants. Peak memory is that
of a whole process, with its libraries.
"""

import argparse
import importlib
import itertools
import json
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.sides import Sides

CASES = ("ops", "models", "classifier", "segmenter", "lite", "saved_model", "input", "classification_input")
HEADER = f"{'':46} {'ours':>10} {'peer':>10} {'ratio':>6} {'bar':>6} {'':5} {'MB ours':>8} {'MB peer':>8}"
NO_PEER = """Ours alone. To compare, make an environment for the peer and name its interpreter:
  python -m venv peer && peer/bin/pip install torch torchvision pycocotools
  PEER_PYTHON=peer/bin/python python -m benchmarks"""


def main():
    options = parse()
    facts, rows = machine.facts(), []
    print(f"{facts['processor']}, {facts['cores_used']} of {facts['cores']} cores, load {facts['load_before']:.1f}")
    print(" ".join(f"{name} {version}" for name, version in (facts["ours"] | (facts["peer"] or {})).items()))
    if not facts["peer"]:
        print(NO_PEER)
    for name in options.only:
        for row in measure(name, options):
            rows.append({"part": name, **row})
            results = {"machine": facts, "runs": options.runs, "images": options.images, "rows": rows}
            # What there is so far: a bench that is interrupted keeps it.
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(results, indent=1, default=str) + "\n")
    short = [row["case"] for row in rows if row.get("verdict") == "short"]
    print(f"\n{options.json}" + (f"; short of its bar: {', '.join(short)}" if short else ""))


def measure(name, options):
    """Yields a printed row for each case of a module of `cases`; see `Sides.compare` and `Case`."""
    module = importlib.import_module(f"benchmarks.cases.{name}")
    print(f"\n{name}: {module.TITLE}\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = module.cases(folder, options)
        for _, group in itertools.groupby(cases, key=lambda case: (case.arguments, case.peer)):
            first, *others = group
            with Sides(name, first) as pair:
                for case in (first, *others):
                    noted = case.check(pair)
                    row = pair.compare(case, options.runs) | case.facts
                    if case.images:
                        rates = {side: case.images / row[side]["median_seconds"] for side in pair.sides}
                        noted["images_per_second"] = ", ".join(f"{side} {rate:.1f}" for side, rate in rates.items())
                    print("\n".join([line(row), *(f"  {key}: {value}" for key, value in noted.items())]), flush=True)
                    yield row | noted


def line(row: dict) -> str:
    """A row under HEADER."""
    ours, peer = row["ours"], row.get("peer")
    bar = "" if row["bar"] is None else f"≤ {row['bar']:.2f}"
    cells = [
        f"{row['case']:46}",
        f"{ours['median_seconds'] * 1e3:8.1f}ms",
        f"{peer['median_seconds'] * 1e3:8.1f}ms" if peer else f"{'-':>10}",
        f"{row['ratio']:6.2f}" if peer else f"{'-':>6}",
        f"{bar:>6}",
        f"{row.get('verdict', ''):5}",
        f"{ours['peak_mb']:8}",
        f"{peer['peak_mb']:8}" if peer else f"{'-':>8}",
    ]
    return " ".join(cells)


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


if __name__ == "__main__":
    main()
