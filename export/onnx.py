"""Exports a run as an ONNX file of standard operations, which ONNX Runtime and other runtimes load.

python -m export.onnx --flagfile=RUN/experiment.flags --out=model.onnx --size=320x320
"""

import dataclasses
import time
from pathlib import Path

from tfrecog.cli import command, files

from .litert import of_run, sizes


@dataclasses.dataclass(frozen=True)
class Flags(of_run.CanvasFlags):
    """The flags of a run and of its export."""


def export(flags: Flags) -> Path:
    """Exports and reports; returns the file."""
    of_run.check_new(flags, ".onnx", out=Path(flags.out))
    given = sizes.input_of(flags)
    from .onnx_files import convert

    start = time.perf_counter()
    lite, model_metadata = of_run.converted(flags, given)
    content = convert.convert(lite, model_metadata | {"onnx": {"input": given}})
    with files.write(flags.out, "wb") as file:
        file.write(content)
    print(f"Wrote {flags.out} of {len(content) / 1e6:.2f} MB in {time.perf_counter() - start:.0f} s")
    return Path(flags.out)


def main(flags: Flags) -> None:
    export(flags)


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
