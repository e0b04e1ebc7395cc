"""Films with what a model sees drawn on each frame, and the same as JSON; in the memory of one frame."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from tfrecog.api import models, streams
from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar

JSON = ".json"  # after the film's name


def write(
    model: models.Model, film: Path, out: Path, *, every: int = 1, min_side: int = 0, font: str = ""
) -> tuple[int, list[str]]:
    """Writes every so many frames of `film` to the MP4 `out`, with what is seen drawn, and OUT.json.

    That is a list of `Result.to_dict`, with the `frame`'s number and its time in `seconds`. Returns how many frames
    there are, and why others are not, if there are others; UserError if there is none, and then nothing is written.
    """
    broken: dict[str, str] = {}
    total, rate = streams.length_of(film, every)
    seen = model.stream(film, every=every, broken=broken)
    files.check(out.parent, f"--out={out.parent}")
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        tempfile.TemporaryDirectory(dir=out.parent, prefix=files.DRAFT) as folder,
        files.write(out.with_name(out.name + JSON)) as file,
    ):
        draft, writer = Path(folder) / "film.mp4", None
        try:
            for result in Bar(seen, desc=film.name, total=total or None, unit="frame", starting=model.starting):
                drawn = np.asarray(result.draw(min_side, font))
                writer = writer or _Writer(draft, rate, drawn)
                writer.add(drawn)
                number = int(result.source.rpartition(":")[2])
                row = {"frame": number, "seconds": round(number / (rate * every), 3), **result.to_dict()}
                file.write(("[\n" if count == 0 else ",\n") + json.dumps(row))
                count += 1
        finally:
            if writer:
                writer.close()
        if not count:
            raise streams.UnreadableFilm(f"{film} has no frame that can be read: {'; '.join(broken.values())}")
        file.write("\n]\n")
        os.replace(draft, out)
    return count, list(broken.values())


class _Writer:
    """An MP4 of frames uint8 [H, W, 3], as large as the first: others, whose legend has more lines, are cut below."""

    def __init__(self, path: Path, rate: float, first: np.ndarray):
        cv2 = streams.opencv()
        self._canvas = np.zeros([*(side // 2 * 2 for side in first.shape[:2]), 3], np.uint8)  # MP4 has even sides.
        height, width = self._canvas.shape[:2]
        self._film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
        if not self._film.isOpened():
            raise UserError(f"OpenCV cannot write a film of {width} x {height} pixels; convert it to a smaller one")

    def add(self, frame: np.ndarray) -> None:
        """Writes a frame."""
        height, width = (min(pair) for pair in zip(frame.shape[:2], self._canvas.shape[:2], strict=True))
        self._canvas[:] = 0
        self._canvas[:height, :width] = frame[:height, :width, ::-1]
        self._film.write(self._canvas)

    def close(self) -> None:
        """Ends the film."""
        self._film.release()
