"""python tests/pipelines/build_splits.py OUT NAME COUNT: builds the splits NAME0, NAME1, ... in one folder."""

import sys

from pipelines import scenes

out, name, count = sys.argv[1:]
for number in range(int(count)):
    scenes.build(out, f"{name}{number}", 1, scenes.Scenes(seed=number, height=32, width=32), jobs=1)
