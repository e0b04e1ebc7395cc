r"""Whether our detector learns what torchvision's learns: the same start, data and rules, some seeds each.

  PEER_PYTHON=/path/to/python python -m benchmarks.learning_parity --data=RECORDS --out=FOLDER [--seeds=3]

PEER_PYTHON names an interpreter that has torch and torchvision; RECORDS have a split `train`, and a split `val` to
evaluate on. A seed is that of the random weights, which both sides begin with, and on each side of the order of the
pictures, their flips and the samples of anchors and rois, each drawn by its own library. FOLDER keeps the results of
each run that has finished, as JSON; the command again does those that are left. It prints the APs and times, and draws
FOLDER/learning_parity.png.
"""

import argparse
import json
import os
from dataclasses import fields, replace
from pathlib import Path

from benchmarks import machine, sides
from benchmarks.learning_parity import results, runs
from benchmarks.learning_parity.rules import Rules
from tfrecog.data.split import Split


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    rules = rules_of(options)
    found = []
    for seed in range(options.seeds):
        # In turn, so that a machine that slows down slows both.
        for side in runs.SIDES if seed % 2 else reversed(runs.SIDES):
            run = runs.finish(options.out, side, seed, rules, options.data, sides.PEER_PYTHON)
            print(results.line(run), flush=True)
            found.append(run)
    print("\n" + results.table(found))
    summary = {"machine": machine.facts(), "rules": json.loads(rules.to_json()), **results.summary(found)}
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    results.draw(found, rules, options.out / "learning_parity.png")
    print(options.out / "learning_parity.png")


def rules_of(options):
    """The rules for these records, with what `--set` changes."""
    split = Split.open(options.data, "train")
    rules = Rules(classes=split.info.num_classes, images=int((split.index.instances > 0).sum()))
    known = {field.name for field in fields(Rules)}
    for pair in options.set:
        name, _, value = pair.partition("=")
        if name not in known:
            raise SystemExit(f"error: --set={pair}: there is no rule {name!r}; there are {', '.join(sorted(known))}")
        rules = replace(rules, **{name: json.loads(value)})
    return Rules.from_json(rules.to_json())


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="folder of records, with the splits train and val")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the figure")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="RULE=JSON", help="such as rate=0.01; repeatable")
    options = parser.parse_args()
    if not sides.PEER_PYTHON:
        parser.error("set PEER_PYTHON to an interpreter that has torch and torchvision")
    options.data = os.path.abspath(options.data)
    options.out = options.out.absolute()
    return options


if __name__ == "__main__":
    main()
