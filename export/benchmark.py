"""Measures how long a TFLite or ONNX file takes for a picture, and how much memory; without TensorFlow.

python -m export.benchmark --model=model.tflite --image=photo.jpg --threads=1
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command, files
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Positive
from tfrecog.inference.flags import Threads


@dataclasses.dataclass(frozen=True)
class Flags:
    """The flags of a measurement."""

    model: Annotated[str, "The TFLite or ONNX file, of export.tflite or export.onnx."] = ""
    image: Annotated[str, "A picture, of any size."] = ""
    repeat: Annotated[int, "Runs, after a warm-up.", Positive("runs")] = 50
    threads: Threads = 0
    json: Annotated[str, "File for the numbers. Empty: none."] = ""


def main(flags: Flags) -> None:
    """Measures and reports."""
    out = Path(flags.json).expanduser()
    if flags.json:
        files.check(out.parent, f"--json={flags.json}")
    from tfrecog.inference import result_files

    from .litert import benchmark
    from .onnx_files import reader

    path = Path(flags.model).expanduser()
    if path.suffix.lower() not in reader.READERS:
        raise UserError(f"--model={flags.model}: name a file that ends in {' or '.join(reader.READERS)}")
    model = reader.READERS[path.suffix.lower()](path, flags.threads)
    report = benchmark.measure(model, Path(flags.image).expanduser(), flags.repeat)
    print(benchmark.text_of(report))
    if flags.json:
        result_files.write_json(out, {"model": flags.model, **report})


if __name__ == "__main__":
    command.run(main, Flags(), required=("model", "image"))
