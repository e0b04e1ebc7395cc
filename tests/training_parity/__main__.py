r"""Trains the networks of both libraries from the same weights on the same batches, and prints how far they are apart.

  PEER_PYTHON=/path/to/python python -m tests.training_parity [--store] [--double] [CASE ...]
  PEER_PYTHON=/path/to/python python -m tests.training_parity --photos=FOLDER [--narrow] [--rate=R] [--double] [CASE]

PEER_PYTHON names an interpreter that has torch and torchvision. Without --photos the networks are narrow and the
pictures made; --store writes what the tests compare with, to stored/. --photos trains ResNet-50 at its own width on
photographs of COCO: the folder has coco_ccby_instances_keypoints/ and coco_ccby_panoptic/ (see CONTRIBUTING.md).
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace

from tests.training_parity import batches, cases, comparison, decisions, ours, photos, run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--photos", default="")
    parser.add_argument("--narrow", action="store_true", help="with --photos: networks of 8 channels")
    parser.add_argument("--rate", type=float, help="with --photos: another learning rate than the cases'")
    parser.add_argument("--double", action="store_true", help="also torchvision beside itself in double precision")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    known = cases.SMALL
    if options.photos:
        known = cases.NARROW if options.narrow else cases.LARGE
        if options.rate:
            known = {name: replace(case, rate=options.rate) for name, case in known.items()}
    python = os.environ.get("PEER_PYTHON", sys.executable)
    print(comparison.HEAD, flush=True)
    for name in options.cases or known:
        with tempfile.TemporaryDirectory() as folder:
            print(report(known[name], options, python, folder), flush=True)


def report(case, options, python, folder):
    """A line with the largest differences, and lines with what exceeds the tolerances."""
    made = photos.of(case, options.photos) if options.photos else batches.made(case)
    found = run.peer(case, made, python, folder)
    start = time.process_time()
    training = ours.build(case, run.shapes_of(found))
    reference = run.to_ours(case, training.model, found)
    if options.store:
        run.store(case, found, reference)
    with run.peers_mask_targets(found):
        mine = training.train(made)
    differences = comparison.exact(mine, reference)
    lines = [f"{comparison.row(case.name, differences)} | {time.process_time() - start:.0f} s"]
    if options.double:
        double = run.peer(replace(case, double=True), made, python, folder)
        exact = run.to_ours(case, training.model, double)
        lines += [
            comparison.row(f"  {who} and double precision", comparison.exact(one, exact))
            for who, one in (("here", mine), ("torchvision", reference))
        ]
        lines.append(f"  torchvision in double precision decides {decisions.apart(found, double):,} ReLUs otherwise")
    lines.append(f"  {run.of_decisions(training, made, found, reference)}")
    if case.network == "mask_rcnn":
        lines.append(f"  {run.of_targets(training, made, found)}")
    return "\n".join(lines + [f"  {kind}: {what}" for kind, what in comparison.exceeding(case, differences).items()])


if __name__ == "__main__":
    main()
