"""Speed and peak memory, beside torchvision's if PEER_PYTHON names an interpreter that has it.

  PEER_PYTHON=/path/to/python python -m benchmarks [--only=ops,models] [--runs=5] [--json=FILE]

Medians of alternating runs; ratio = our time / the peer's; a bar is the ratio this project wants. Peak memory is that
of a whole process, with its libraries.
"""

import argparse
import json
from pathlib import Path

from benchmarks import classification_input, classifier, lite, machine, models, ops, saved_model, segmenter, sides
from benchmarks import input as input_pipeline

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
    for part in options.only:
        print(f"\n{part + ': ' + TITLES[part]}\n{sides.HEADER}", flush=True)
        if part == "input":
            photos = f"photos of {options.images}" if options.images else "synthetic scenes; --images for real photos"
            print(f"  ({photos})", flush=True)
            measured = input_pipeline.measure(options.runs, options.images, options.annotations)
        elif part == "classification_input":
            measured = classification_input.measure(options.runs, options.images)
        else:
            parts = {"ops": ops, "models": models, "classifier": classifier, "segmenter": segmenter}
            parts |= {"lite": lite, "saved_model": saved_model}
            measured = parts[part].measure(options.runs)
        for row in measured:
            rows.append({"part": part, **row})
            write(options.json, {"machine": facts, "runs": options.runs, "images": options.images, "rows": rows})
    short = [row["case"] for row in rows if row.get("verdict") == "short"]
    print(f"\n{options.json}" + (f"; short of its bar: {', '.join(short)}" if short else ""))


TITLES = {
    "ops": "1000 rois, 7x7x256, of an image of 800x1216",
    "models": "Mask R-CNN ResNet-50-FPN, the same weights",
    "classifier": "ResNet-50 at 224x224, a training step of 16 images, the same weights",
    "segmenter": "fcn_resnet50, the same weights",
    "lite": "TFLite files in LiteRT, beside TensorFlow's graph, one image",
    "saved_model": "Mask R-CNN ResNet-50-FPN, exported, the same weights as torchvision's",
    "input": "JPEG and COCO annotations to batches of 4, 2 workers",
    "classification_input": "JPEG to batches of 64 random crops of 224x224, 2 workers",
}


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(TITLES), help="of " + ",".join(TITLES)
    )
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each case")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"), help="file for the results")
    parser.add_argument("--images", type=Path, help="folder of photos for the input pipeline")
    parser.add_argument("--annotations", type=Path, help="COCO annotations of them")
    options = parser.parse_args()
    if unknown := set(options.only) - set(TITLES):
        parser.error(f"--only has no part {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
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
