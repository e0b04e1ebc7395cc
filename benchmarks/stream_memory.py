"""The memory of `stream` over a film of two minutes and a folder of 2,000 pictures, beside that after the first 100.

  python -m benchmarks.stream_memory --model=RUN [--frames=3000] [--pictures=2000]

The film has 25 frames a second of 480 x 640 pixels, the folder JPEGs of five sizes around that. Each source is read in
a process of its own, which lets go of every result at once, as a loop of a user does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import tfrecog
from benchmarks import machine
from benchmarks.pictures import photo
from export.litert.benchmark import peak_mb

FIRST, RATE = 100, 25
SIZES = ((480, 640), (640, 480), (432, 640), (512, 512), (400, 608))


def film(path: Path, frames: int) -> Path:
    """A film of a photo that moves to the left."""
    import cv2

    scene = photo(480, 1280)[..., ::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (640, 480))
    for number in range(frames):
        writer.write(np.ascontiguousarray(np.roll(scene, -3 * number, axis=1)[:, :640]))
    writer.release()
    return path


def folder(path: Path, pictures: int) -> Path:
    """A folder of JPEGs."""
    path.mkdir()
    for number in range(pictures):
        Image.fromarray(photo(*SIZES[number % len(SIZES)], seed=number)).save(path / f"{number:05d}.jpg", quality=90)
    return path


def measure(model: str, source: str) -> None:
    """Prints as JSON the memory in MiB after some of the results, at the end, and the most there was."""
    loaded, after, count, objects = tfrecog.load(model), {}, 0, 0
    start = time.perf_counter()
    for count, result in enumerate(loaded.stream(source), 1):
        objects += len(result.names)
        if count == FIRST:
            after["first"] = machine.resident()
            after["first_peak"] = peak_mb()
    after |= {"end": machine.resident(), "peak": peak_mb(), "count": count, "objects": objects}
    print(json.dumps(after | {"seconds": time.perf_counter() - start}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream_memory")
    parser.add_argument("--model", required=True, help="what tfrecog.load takes")
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--source", help="in this process: measure this one, and print JSON")
    options = parser.parse_args()
    if options.source:
        return measure(options.model, options.source)
    facts = machine.facts()
    print(f"{facts['processor']}, commit {facts['commit']}: {options.model}")
    print(f"{'MiB':8} {'number':>7} {'after 100':>10} {'peak then':>10} {'at the end':>11} {'peak':>6} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as there:
        makers = {"film": (film, options.frames, "a.mp4"), "folder": (folder, options.pictures, "photos")}
        for name, (make, count, file) in makers.items():
            source = make(Path(there, file), count)
            command = [
                sys.executable,
                "-m",
                "benchmarks.stream_memory",
                f"--model={options.model}",
                f"--source={source}",
            ]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                raise SystemExit(ran.stderr)
            m = json.loads(ran.stdout.splitlines()[-1])
            print(
                f"{name:8} {m['count']:7} {m['first']:10.0f} {m['first_peak']:10.0f} {m['end']:11.0f} {m['peak']:6.0f} "
                f"{m['seconds']:8.0f}   {m['objects']} objects",
                flush=True,
            )
    return None


if __name__ == "__main__":
    main()
