"""Prints what a report of a bug needs: versions, the machine, and the settings of TensorFlow.

python -m tfrecog.env --out=env.txt
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command, files


@dataclass(frozen=True)
class Flags:
    """The flags of the report."""

    json: Annotated[bool, "Print JSON."] = False
    out: Annotated[str, "A file for the same. Empty: none."] = ""


def main(flags: Flags) -> None:
    """Prints the report."""
    if flags.out:
        files.check(Path(flags.out).parent, f"--out={flags.out}")
    from tfrecog.runtime import environment

    facts = environment.facts()
    text = json.dumps(facts, indent=1) if flags.json else environment.text(facts)
    print(text)
    if flags.out:
        with files.write(flags.out) as file:
            file.write(f"{text}\n")


if __name__ == "__main__":
    command.run(main, Flags())
