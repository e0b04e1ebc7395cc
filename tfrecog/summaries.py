"""What a person sees of a run: the line or bar on the screen, and TensorBoard."""

import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm


class Progress:
    """Shows and records a run; a bar on a terminal, plain lines elsewhere."""

    def __init__(
        self, workdir: str | Path, start: int, total: int, steps_per_epoch: int, batch_size: int, log_steps: int
    ):
        self.total, self.steps_per_epoch, self.batch_size, self.log_steps = (
            total,
            steps_per_epoch,
            batch_size,
            log_steps,
        )
        _mark_restart(workdir, start)
        self.writer = tf.summary.create_file_writer(str(workdir))
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=start, unit="step", dynamic_ncols=True, smoothing=0.05)
        self.window, self.seconds = [], []
        self.clock = None

    def step(self, done: int, terms: dict[str, float], timed: bool = True) -> None:
        """After each step: its loss terms, `learning_rate` and `gradient_norm`.

        Not `timed`: the step traced the graph of a new shape, which says nothing of the speed.
        """
        self.window.append(terms)
        if self.bar is not None:
            self.bar.update()
        now = time.perf_counter()
        if timed and self.clock is not None:
            self.seconds.append(now - self.clock)
        self.clock = now
        if done % self.log_steps == 0 or done == self.total:
            self._log(done)

    def pause(self) -> None:
        """Before work that is no training, which the speed leaves out."""
        self.clock = None

    def metrics(self, done: int, metrics: dict[str, float]) -> None:
        """After an evaluation."""
        numbers = {
            name: float(value) for name, value in metrics.items() if isinstance(value, (int, float, np.floating))
        }
        with self.writer.as_default(step=done):
            for name, value in numbers.items():
                tf.summary.scalar(f"evaluation/{name}", value)
        self.writer.flush()
        names = [f"{kind}_{name}" for kind in ("box", "mask", "keypoint") for name in ("AP", "AP50", "AP75")]
        shown = [name for name in [*names, "top1", "top5"] if name in numbers]
        figures = "  ".join(f"{name} {numbers[name]:.4f}" for name in shown)
        self.say(f"evaluated at step {done} (epoch {done / self.steps_per_epoch:.2f}): {figures}")

    def pictures(self, done: int, pictures: dict[str, np.ndarray]) -> None:
        """Pictures uint8 [H, W, 3] by name."""
        with self.writer.as_default(step=done):
            for name, picture in pictures.items():
                tf.summary.image(name, picture[None])
        self.writer.flush()

    def say(self, line: str) -> None:
        """A line for people, above the bar."""
        tqdm.write(line) if self.bar is not None else print(line, flush=True)

    def close(self) -> None:
        """Ends the bar and writes the last events."""
        self.writer.close()
        if self.bar is not None:
            self.bar.close()

    def _log(self, done):
        means = {name: float(np.mean([terms[name] for terms in self.window])) for name in self.window[0]}
        rate = means["learning_rate"] = self.window[-1]["learning_rate"]
        speed = 1 / float(np.mean(self.seconds)) if self.seconds else None
        self.window, self.seconds = [], []

        with self.writer.as_default(step=done):
            for name, value in means.items():
                tf.summary.scalar(f"training/{name}", value)
            if speed:
                tf.summary.scalar("training/images_per_second", speed * self.batch_size)
        losses = {
            name: value for name, value in means.items() if name not in ("loss", "learning_rate", "gradient_norm")
        }
        text = f"loss {means['loss']:.4f} ({', '.join(f'{name} {value:.4f}' for name, value in losses.items())})"
        text += f"  lr {rate:.3g}"
        if speed:
            text += f"  {speed * self.batch_size:.2f} images/s"
        if self.bar is not None:
            self.bar.set_description_str(f"epoch {done / self.steps_per_epoch:.2f}", refresh=False)
            self.bar.set_postfix_str(text)
            return
        left = f"  ETA {tqdm.format_interval((self.total - done) / speed)}" if speed else ""
        print(f"step {done}/{self.total}  epoch {done / self.steps_per_epoch:.2f}  {text}{left}", flush=True)


def _mark_restart(workdir, start):
    """Has TensorBoard drop the later steps of a run that was killed: they come again."""
    with tf.Graph().as_default():  # The writer of whole events is of graphs, and has a file of its own.
        writer = tf.compat.v1.summary.FileWriter(str(workdir))
        session_log = tf.compat.v1.SessionLog
        writer.add_session_log(session_log(status=session_log.START), start + 1)
        writer.close()
