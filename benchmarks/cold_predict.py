"""The CPU time of a first prediction beyond that of importing TensorFlow and Keras.

  python -m benchmarks.cold_predict PHOTO --model=RUN [--runs=5]

Whole processes, from start to end, in turn: one that imports both, and `tfrecog predict` of one picture. Seconds of the
user and of the system, of all threads; a first round, which reads the files, is not counted. Python searches
all objects as it ends, which is a second of the import's time and which the command leaves out: so the import is
measured without that as well.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile

from benchmarks import machine

IMPORT = "import tensorflow, keras"
ENDS_AT_ONCE = f"{IMPORT}; import gc; gc.freeze()"


def seconds(*arguments: str) -> float:
    """CPU time of a process of this Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_predict")
    parser.add_argument("photo")
    parser.add_argument("--model", required=True, help="what tfrecog predict takes")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        sides = {
            "import": ("-c", IMPORT),
            "import, ended at once": ("-c", ENDS_AT_ONCE),
            "predict": ("-m", "tfrecog", "predict", options.photo, f"--model={options.model}", f"--out={out}/seen"),
        }
        rounds = [{name: seconds(*arguments) for name, arguments in sides.items()} for _ in range(options.runs + 1)][1:]
    facts = machine.facts()
    print(f"{facts['processor']}, commit {facts['commit']}, load {facts['load_before']:.1f}: CPU seconds")
    medians = {name: statistics.median(one[name] for one in rounds) for name in sides}
    for name, median in medians.items():
        print(f"{name:22} {median:6.2f}   {' '.join(f'{one[name]:.2f}' for one in rounds)}")
    predict = medians.pop("predict")
    for name, median in medians.items():
        print(f"beyond {name}: {predict - median:.2f}")


if __name__ == "__main__":
    main()
