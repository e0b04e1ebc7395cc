"""python tests/in_turn.py 'MODULE --flag=value ...' ...: commands one after the other, TensorFlow imported once.

Each ends with a line that says its exit status.
"""

import runpy
import shlex
import sys

for line in sys.argv[1:]:
    module, *sys.argv[1:] = shlex.split(line)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        print(f"status {ended.code}", file=sys.stderr, flush=True)
