"""A set of COCO's size, stage by stage: processor seconds and peak memory of each command, and of its processes.

  python -m benchmarks.coco_set --out=SET
  python -m benchmarks.coco_size --set=SET --work=FOLDER [--stages=start,resume,build,check,training] [--runs=3]
  python -m benchmarks.coco_size --set=SET --work=FOLDER --stages=evaluation

start: pipelines.coco until it writes the first shard. resume: the same command after it was stopped with two shards
done, until it writes the next. build: all of it, which check, training and evaluation read. training: tfrecog.train of
a small Mask R-CNN until its first batch is there; imports: what importing its modules takes alone. evaluation: see
`benchmarks.coco_report`. With --checkout the first stages are those of another checkout of this project.
"""

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from benchmarks import machine, sides, watched
from benchmarks.coco_set import IMAGES

SHARDS = 160  # of COCO's 118,287 images: 128 MB each
CONFIG = "configs/smoke/mask_rcnn.flags"


class Stages:
    """The commands of the stages."""

    def __init__(self, options):
        self.set, self.work, self.checkout = options.set, options.work, options.checkout
        count = len(list((self.set / "images").iterdir()))
        self.shards = max(2, round(SHARDS * count / IMAGES))
        self.records = self.work / "records"

    def build_command(self, out: Path) -> list[str]:
        files = [f"--images={self.set}/images", f"--annotations={self.set}/instances.json", f"--out={out}"]
        return [sys.executable, "-m", "pipelines.coco", *files, "--split=train", f"--shards={self.shards}", "--jobs=2"]

    def run(self, command, until=None) -> watched.Use:
        return watched.run(command, until, self.checkout)

    def start(self) -> watched.Use:
        """Until a shard is begun."""
        out = self.work / "started"
        shutil.rmtree(out, ignore_errors=True)
        return self.run(self.build_command(out), lambda _: bool(_drafts(out)))

    def resume(self) -> watched.Use:
        """The same after an interruption."""
        out = self.work / "started"
        shutil.rmtree(out, ignore_errors=True)
        self.run(self.build_command(out), lambda _: len(_build(out, "*.tfrecord.json")) >= min(2, self.shards - 1))
        if _drafts(out):
            raise RuntimeError(f"the stopped build has left {_drafts(out)}")
        return self.run(self.build_command(out), lambda _: bool(_drafts(out)))

    def build(self) -> watched.Use:
        """All of it."""
        shutil.rmtree(self.records, ignore_errors=True)
        return self.run(self.build_command(self.records))

    def again(self) -> watched.Use:
        """The same command when all is built."""
        return self.run(self.build_command(self.records))

    def check(self) -> watched.Use:
        """All records are read, and their images decoded."""
        return self.run([sys.executable, "-m", "pipelines.check", f"--data={self.records}", "--jobs=2"])

    def imports(self) -> watched.Use:
        """Those of a training."""
        return self.run([sys.executable, "-c", "import tfrecog.train, tfrecog.training.loop"])

    def training(self) -> watched.Use:
        """Until the first batch is there, and the step is to be compiled."""
        workdir = self.work / "run"
        shutil.rmtree(workdir, ignore_errors=True)
        flags = [f"--flagfile={CONFIG}", f"--data.records={self.records}", f"--workdir={workdir}"]
        command = [sys.executable, "-m", "tfrecog.train", *flags, "--train.evaluate_epochs=0"]
        return self.run(command, lambda text: "compiling the training step" in text)

    def evaluation(self) -> watched.Use:
        """Numbers, files and report of images with 100 detections each."""
        command = [sys.executable, "-m", "benchmarks.coco_report", f"--records={self.records}"]
        return self.run([*command, f"--out={self.work / 'evaluation'}"])


def _build(out: Path, pattern: str) -> list[Path]:
    return list((out / ".train.build").glob(pattern))


def _drafts(out: Path) -> list[Path]:
    return _build(out, ".train-*.tfrecord.*")


STAGES = ("start", "resume", "build", "again", "check", "imports", "training", "evaluation")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coco_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--set", type=Path, required=True, help="what benchmarks.coco_set has made")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is built")
    parser.add_argument("--stages", default=",".join(STAGES[:-1]))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--checkout", type=Path, default=sides.REPOSITORY)
    options = parser.parse_args()
    options.set, options.work = options.set.absolute(), options.work.absolute()
    options.work.mkdir(parents=True, exist_ok=True)
    stages, facts = Stages(options), machine.facts()
    checkout = facts["commit"] if options.checkout == sides.REPOSITORY else options.checkout
    print(f"{facts['processor']}, {checkout}, load {facts['load_before']:.1f}: {options.set}")
    print(f"{'':12}{'seconds':>9} {'CPU s':>7} {'peak MB':>8} {'processes CPU s':>16} {'largest MB':>11}", flush=True)
    for name in options.stages.split(","):
        uses = [getattr(stages, name)() for _ in range(options.runs)]
        row = [statistics.median(column) for column in zip(*(vars(one).values() for one in uses), strict=True)]
        cells = f"{name:12}{row[0]:9.1f} {row[1]:7.2f} {row[2]:8.0f} {row[3]:16.1f} {row[4]:11.0f}"
        each = " ".join(f"{one.cpu:.2f}" for one in uses)
        print(cells + f"   CPU s of each run: {each}" * (options.runs > 1), flush=True)


if __name__ == "__main__":
    main()
