"""python tests/worker.py NUMBER TF_CONFIG MODULE --flag=value ...: a command on one core, as one of several machines.

TF_CONFIG may be empty. On one core each, since sums of a part on two threads round otherwise.
"""

import os
import runpy
import sys

_, number, config, module, *arguments = sys.argv
if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(number) % len(cores)]})
if config:
    os.environ["TF_CONFIG"] = config
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
