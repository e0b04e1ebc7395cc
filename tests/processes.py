"""Commands in processes of their own, forked from one that has imported TensorFlow, which takes seconds each time.

They are real processes: they can be killed, and have a TensorFlow of their own, of which no operation has run before.
As a program this is the process that they are forked from: it reads requests and answers them, a line of JSON each.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time

from tests.folders import REPOSITORY


def until(condition, seconds=120):
    """Waits for a condition, which must come."""
    for _ in range(50 * seconds):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"it has not come within {seconds} seconds")


class Process:
    """A started command: a module, or a file of Python, and its arguments. It runs in the folder `cwd`."""

    def __init__(self, program, *arguments, cwd="/"):
        self._output = tempfile.NamedTemporaryFile("r", encoding="utf-8")  # noqa: SIM115 (read when it has finished)
        words = [str(word) for word in (program, *arguments)]
        self.pid = _ask({"start": words, "cwd": str(cwd), "output": self._output.name})

    def finish(self, timeout=1800):
        """Exit status, and what it wrote to stdout and stderr; SIGABRT ends one that hangs, after `timeout` seconds."""
        status = _ask({"wait": self.pid, "timeout": timeout})
        return status, self.printed()

    def printed(self):
        """What it has written to stdout and stderr until now."""
        self._output.seek(0)
        return self._output.read()


def run(program, *arguments, **options):
    """Output of a command, which must succeed."""
    status, output = Process(program, *arguments, **options).finish()
    assert status == 0, output
    return output


def _ask(request):
    server = _server()
    print(json.dumps(request), file=server.stdin, flush=True)
    return json.loads(server.stdout.readline())


@functools.cache
def _server():
    command = [sys.executable, "-m", "tests.processes"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    server = subprocess.Popen(command, cwd=REPOSITORY, text=True, start_new_session=True, **pipes)
    atexit.register(server.communicate)  # Its input ends, and with it the server.
    return server


def _serve():
    """Answers requests; returns the words of a command in the process forked for it."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = _wait(request["wait"], request["timeout"])
        else:
            answer = os.fork()
            if not answer:
                _prepare(request)
                return request["start"]
        print(json.dumps(answer), flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # Whoever has asked is gone, and nobody waits for what still runs.
    sys.exit()


def _wait(pid, timeout):
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGABRT))
    signal.alarm(timeout)
    _, status = os.waitpid(pid, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def _prepare(request):
    """Makes this fork like a process that has just begun."""
    os.chdir(request["cwd"])
    with open(os.devnull) as nothing, open(request["output"], "a") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.modules["numpy"].random.seed()  # All forks would draw the same numbers; Python's own generator knows of forks.


if __name__ == "__main__":
    for library in ("tensorflow", "keras"):
        importlib.import_module(library)
    gc.freeze()  # What is there stays, and no fork need look through it.
    program, *arguments = _serve()
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
