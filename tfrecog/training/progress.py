"""What a person sees of a run: the lines and the bar on the screen, TensorBoard, and metrics.csv."""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from tfrecog.cli import facts, flags, validate
from tfrecog.cli.progress import Bar, is_terminal
from tfrecog.config import Experiment
from tfrecog.drawing import contact_sheet
from tfrecog.inference import image_files
from tfrecog.training import metrics_csv
from tfrecog.training.events import Events

CELL = 960  # pixels, of the largest picture of predictions beside others
ACCURACIES = ("top1", "top5", "pixel_accuracy")  # shares of the images or pixels, and no part of a loss


class Progress:
    """Shows and records a run; lines, and on a terminal a bar below them."""

    def __init__(
        self, workdir: str | Path, start: int, total: int, steps_per_epoch: int, batch_size: int, log_steps: int
    ):
        self.total, self.steps_per_epoch = total, steps_per_epoch
        self.batch_size, self.log_steps = batch_size, log_steps
        self.folder = Path(workdir) / "predictions"
        self.events = Events(workdir, start)
        self.table = metrics_csv.Table(workdir, start)
        self.bar = Bar(total=total, initial=start, unit="step", smoothing=0.05) if is_terminal(sys.stderr) else None
        self.window, self.seconds = [], []
        self.clock = self.compile_start = None

    def settings(self, done: int, experiment: Experiment) -> None:
        """TensorBoard's text and HPARAMS: the flags that a run reads, and those that are not at their defaults."""
        changed = flags.differences(type(experiment)(), experiment)
        values = {path: value for path, (_, value) in changed.items() if path != "workdir"}
        plain = {k: v if isinstance(v, bool | int | float | str) else facts.shown(v) for k, v in values.items()}

        def summaries():
            tf.summary.text("flags", f"```\n{validate.dumps(experiment)}```")
            hparams.hparams(plain)

        self.events.write(done, summaries)

    def compiling(self, batch: dict) -> None:
        """Before a step whose graph is built first, which is that of a shape of batches."""
        first, self.compile_start = self.compile_start is None, time.perf_counter()
        size = " x ".join(map(str, batch["image"].shape[1:3])) if "image" in batch else ""
        what = "; the first one takes about a minute" if first else f" for images of {size}"
        self.say(f"compiling the training step{what}")

    def steps(self, done: int, terms: Sequence[dict[str, float]], timed: bool = True) -> None:
        """After each call of some steps, the last of which is `done`: the terms of each.

        Not `timed`: the call traced the graph of a new shape, which says nothing of the speed.
        """
        now = time.perf_counter()
        if timed and self.clock is not None:
            self.seconds += [(now - self.clock) / len(terms)] * len(terms)
        if not timed and self.compile_start is not None:
            self.say(f"compiled, and step {done} taken, in {now - self.compile_start:.1f} s")
        self.clock = now
        if self.bar is not None:
            self.bar.update(len(terms))
        for step, each in enumerate(terms, start=done - len(terms) + 1):
            self.window.append(each)
            if step % self.log_steps == 0 or step == self.total:
                self._log(step)

    def until(self, total: int) -> None:
        """From now on the training ends at another step."""
        self.total = total
        if self.bar is not None:
            self.bar.total = total
            self.bar.refresh()

    def pause(self) -> None:
        """Before work that is no training, which the speed leaves out."""
        self.clock = None

    def metrics(self, done: int, metrics: dict[str, float]) -> None:
        """After an evaluation."""
        numbers = {
            name: float(value) for name, value in metrics.items() if isinstance(value, (int, float, np.floating))
        }
        of_step = {f"evaluation/{name}": value for name, value in numbers.items()}
        self.events.write(done, lambda: _scalars(of_step))
        self.table.add(done, of_step)
        names = [f"{kind}_{name}" for kind in ("box", "mask", "keypoint") for name in ("AP", "AP50", "AP75")]
        shown = [name for name in [*names, "voc_mAP", "mean_iou", *ACCURACIES] if name in numbers]
        figures = "  ".join(f"{name} {numbers[name]:.4f}" for name in shown)
        self.say(f"evaluated at step {done} (epoch {done / self.steps_per_epoch:.2f}): {figures}")

    def pictures(self, done: int, pictures: dict[str, np.ndarray]) -> None:
        """Pictures uint8 [H, W, 3] by name."""
        self.events.write(done, lambda: [tf.summary.image(name, one[None]) for name, one in pictures.items()])

    def predictions(self, done: int, pictures: dict[str, np.ndarray]) -> None:
        """Pictures by name after an evaluation; those of predictions are also in a file of the workdir."""
        self.pictures(done, pictures)
        seen = [picture for name, picture in pictures.items() if name.startswith("predictions")]
        if seen:
            path = self.folder / f"step-{done:08}.jpg"
            path.parent.mkdir(exist_ok=True)
            cell = min(CELL, max(side for picture in seen for side in picture.shape[:2]))
            image_files.save(seen[0] if len(seen) == 1 else contact_sheet.draw(seen, columns=2, cell=cell), path)
            self.say(f"predictions beside the truth: {path}")

    def say(self, line: str) -> None:
        """A line for people, above the bar; none if it is empty."""
        if line and self.bar is not None:
            self.bar.say(line)
        elif line:
            print(line, flush=True)

    def close(self) -> None:
        """Ends the bar and writes the last events."""
        self.events.close()
        if self.bar is not None:
            self.bar.close()

    def _log(self, done):
        means = {name: _mean([terms[name] for terms in self.window]) for name in self.window[0]}
        last = self.window[-1]
        means |= {name: last[name] for name in ("learning_rate", "loss_scale") if name in last}
        speed = 1 / float(np.mean(self.seconds)) if self.seconds else None
        self.window, self.seconds = [], []

        epoch = done / self.steps_per_epoch
        numbers = {f"training/{name}": value for name, value in means.items()}
        self.table.add(done, {"epoch": epoch} | numbers)
        rate = {"training/images_per_second": speed * self.batch_size} if speed else {}
        self.events.write(done, lambda: _scalars(numbers | rate))
        others = ("loss", "learning_rate", "gradient_norm", "loss_scale", *ACCURACIES)
        losses = {name: value for name, value in means.items() if name not in others}
        text = f"loss {means['loss']:.4f}"
        if len(losses) > 1:
            text += f" ({', '.join(f'{name} {value:.4f}' for name, value in losses.items())})"
        text += "".join(f"  {name} {means[name]:.4f}" for name in ACCURACIES if name in means)
        text += f"  lr {means['learning_rate']:.3g}"
        if "loss_scale" in means:
            text += f"  loss scale {means['loss_scale']:g}"
        if speed:
            text += f"  {speed * self.batch_size:.2f} images/s"
            text += f"  ETA {Bar.format_interval((self.total - done) / speed)}"
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {epoch:.2f}", refresh=False)
        self.say(f"step {done}/{self.total}  epoch {epoch:.2f}  {text}")


def _scalars(numbers):
    for name, value in numbers.items():
        tf.summary.scalar(name, value)


class Unseen:
    """In place of `Progress` on the workers that are not the chief, of which nobody looks at the screen."""

    def __getattr__(self, name):
        return lambda *_, **__: None


def _mean(values):
    """Of those that are finite: in float16 some gradients are not, and change nothing."""
    return float(np.mean([value for value in values if math.isfinite(value)] or [math.nan]))
