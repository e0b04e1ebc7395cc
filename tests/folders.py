"""Where things are."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY / "tests" / "reference"  # values of peer libraries, and the programs that made them
