"""Versions that change under load: 8 clients ask a server of export.serve while its model is exchanged again and again.

  python -m benchmarks.swaps --versions=DIR --other=DIR --state=swaps.json [--requests=10000] [--swaps=10]

--versions has two versions of a model, 1 and 2, which take turns as versions 1, 2, 3, ... of the folder that is
served: of a detector that was exported with --graph=cpu, or of any model with --server=--max_batch=1. --other has a
model of another task. On the way are a version that is copied slowly, its saved_model.pb first, one that was cut off,
one of another task, and one whose folder is deleted. Each answer has to be that of the version that it names, bit for
bit. At last come clients that leave after 50 ms, and as many that wait.

What was measured is in --state after every swap, and the same command continues there. Exit 1 after a failure, or when
the server has more than 10 % more memory after the last swap than after the first.
"""

import argparse
import http.client
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import machine, server_requests, soak
from export.server import client_protocols

LEAVE_AFTER, GROWTH = 0.05, 0.1


class Swaps:
    """The requests, the exchange of versions, and what came of both."""

    def __init__(self, options, folder: Path):
        self.options, self.folder, self.lock = options, folder, threading.Lock()
        self.state = {"done": 0, "swaps": 0, "failures": [], "quiet": [], "during": [], "first": [], "memory": []}
        if options.state.is_file():
            self.state |= json.loads(options.state.read_text())
        self.pictures = server_requests.pictures(options.images)[:16]
        self.number, self.swapping, self.known, self.seen = 0, False, {}, set()
        self.source: dict[str, Path] = {}

    def copy(self, source: Path, name: str = "", pause: float = 0.0, cut: bool = False) -> str:
        """Copies a version to the folder as the next number, file by file; returns the number."""
        self.number += 1
        final = self.folder / (name or str(self.number))
        parts = sorted((one for one in source.rglob("*") if one.is_file()), key=lambda one: one.suffix != ".pb")
        last = [one for one in parts if one.name == "SHA256SUMS"]
        self.source[str(self.number)] = source
        for part in [*(one for one in parts if one not in last), *last]:
            to = final / part.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            content = part.read_bytes()
            to.write_bytes(content[: len(content) // 2] if cut and "data" in part.name else content)
            time.sleep(pause)
        return str(self.number)

    def start(self):
        """Asks the first two versions for all pictures; their answers are what the others are compared with."""
        for place, source in enumerate(self.sources):
            self.until(self.copy(source) if place else "1")
            connection = self.connection()
            self.known[source] = [self.ask(connection, one)[2] for one in self.pictures]
        if self.known[self.sources[0]] == self.known[self.sources[1]]:
            sys.exit("the two versions answer the same; choose others")

    def connect(self, server, port, grpc_port):
        self.server, self.port, self.grpc_port = server, port, grpc_port

    @property
    def sources(self):
        return [self.options.versions / "1", self.options.versions / "2"]

    def connection(self, timeout=120.0):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, connection, picture):
        """Status, version and predictions of V1."""
        path, headers, body = server_requests.v1([picture])
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("tfrecog-model-version"), answer.read()

    def status(self):
        answer = json.loads(client_protocols.ask(f"http://127.0.0.1:{self.port}/v1/models/soaked")[0])
        return {one["version"]: one for one in answer["model_version_status"]}

    def until(self, number: str, state: str = "AVAILABLE", problem: str = ""):
        """Waits until a version has a state, or a problem."""
        for _ in range(6000):
            one = self.status().get(number, {"state": "", "status": {"error_message": ""}})
            if problem in one["status"]["error_message"] if problem else one["state"] == state:
                return
            time.sleep(0.05)
        sys.exit(f"version {number} is not {state}{problem} after five minutes: {self.status()}")

    def work(self, client):
        """One client's share of the requests."""
        draw, connection = random.Random(f"{client}-{self.state['done']}"), self.connection()
        while True:
            with self.lock:
                if self.state["done"] >= self.options.requests:
                    return
                self.state["done"] += 1
            chosen = draw.randrange(len(self.pictures))
            begun, swapping = time.monotonic(), self.swapping
            try:
                if draw.random() < 0.1:
                    problem, version = self.by_grpc(chosen), None
                else:
                    problem, version = self.by_v1(connection, chosen)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                problem, version = f"{type(error).__name__}: {error}", None
            seconds = time.monotonic() - begun
            with self.lock:
                self.state["during" if swapping or self.swapping else "quiet"].append(seconds)
                if version and version not in self.seen:
                    self.seen.add(version)
                    self.state["first"].append(seconds)
                if problem:
                    self.state["failures"].append(problem)

    def by_v1(self, connection, chosen):
        status, version, answer = self.ask(connection, self.pictures[chosen])
        if status != 200:
            return f"{status}: {answer[:200]!r}", None
        same = answer == self.known[self.source[version]][chosen]
        return None if same else f"version {version} answered otherwise than alone", version

    def by_grpc(self, chosen):
        """The scores and boxes of one of the two versions, in bits."""
        found = client_protocols.by_grpc(f"127.0.0.1:{self.grpc_port}", "soaked", self.pictures[chosen], 120.0)
        for known in self.known.values():
            (row,) = json.loads(known[chosen])["predictions"]
            name = next(name for name in soak.TOLD_BY if name in row)
            if np.array_equal(np.asarray(row[name], found[name].dtype), found[name]):
                return None
        return "gRPC: the scores are those of neither version"

    def swap(self, number: int):
        """The exchange of this number, and what goes wrong before it."""
        self.swapping = True
        if number == 2:
            self.until(self.copy(self.sources[0], cut=True), problem="damaged")
        elif number == 3:
            self.until(self.copy(self.options.other / "1"), problem="it is a model for")
        elif number == 4:
            current = max((int(n) for n, one in self.status().items() if one["state"] == "AVAILABLE"), default=0)
            shutil.rmtree(self.folder / str(current))
            time.sleep(3)
        self.until(self.copy(self.sources[number % 2], pause=0.5 if number == 1 else 0.0))
        time.sleep(2)
        self.swapping = False
        self.state["memory"].append(machine.resident(self.server.pid))

    def exchange(self):
        """Exchanges versions when their share of the requests is done."""
        while self.state["swaps"] < self.options.swaps:
            share = (self.state["swaps"] + 0.5) / self.options.swaps
            while self.state["done"] < share * self.options.requests:
                time.sleep(0.05)
            self.swap(self.state["swaps"])
            with self.lock:
                self.state["swaps"] += 1
                self.options.state.write_text(json.dumps(self.state))

    def leave(self, count: int):
        """Requests whose clients leave after 50 ms, and as many that wait; returns how many of those fail."""

        def gone(_):
            connection = self.connection(LEAVE_AFTER)
            try:
                self.ask(connection, self.pictures[-1])
            except OSError:
                pass
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(gone, range(count)))
            return sum(status != 200 for status in pool.map(
                lambda i: self.ask(self.connection(), self.pictures[i % len(self.pictures)])[0], range(count)
            ))  # fmt: skip


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w", suffix=".log") as log:
        swaps = Swaps(options, Path(folder))
        swaps.copy(swaps.sources[0])
        server, port, grpc_port = soak.started(folder, 0, log, ["--watch", *options.server])
        try:
            swaps.connect(server, port, grpc_port)
            swaps.start()
            with ThreadPoolExecutor(options.clients + 1) as pool:
                exchanging = pool.submit(swaps.exchange)
                list(pool.map(swaps.work, range(options.clients)))
                exchanging.result()
            left = swaps.leave(options.leave)
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        finally:
            server.kill()
        report(swaps, left, status, Path(log.name).read_text())


def report(swaps, left, status, output):
    """Prints the figures; ends the program with 1 if something failed."""
    state, memory = swaps.state, swaps.state["memory"] or [0.0]
    quiet, during, first = (1000 * np.array(state[name] or [0.0]) for name in ("quiet", "during", "first"))
    print(f"{state['done']} requests, {state['swaps']} swaps, {len(state['failures'])} failures; {left} after leaving")
    print(f"quiet: p50 {np.median(quiet):.0f} ms, p99 {np.percentile(quiet, 99):.0f} ms ({len(quiet)} requests)")
    print(f"during swaps: p50 {np.median(during):.0f} ms, p99 {np.percentile(during, 99):.0f} ms ({len(during)})")
    print(f"first answers of versions: median {np.median(first):.0f} ms, most {first.max():.0f} ms")
    growth = memory[-1] / memory[0] - 1
    print(f"memory after the first and last swap: {memory[0]:.0f}, {memory[-1]:.0f} MB ({growth:+.1%})")
    print(json.dumps(machine.facts(), default=str))
    problems = state["failures"][:10] + ([f"{left} that waited failed"] if left else [])
    if growth > GROWTH:
        problems.append(f"memory grew by {growth:.1%}")
    if status or "Traceback" in output:
        problems.append(f"the server ended with {status} and wrote:\n{output[-2000:]}")
    if problems:
        sys.exit("\n".join(problems))


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.swaps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--versions", required=True, type=Path, help="folder with the versions 1 and 2 of a model")
    parser.add_argument("--other", required=True, type=Path, help="folder with a version 1 of a model of another task")
    parser.add_argument("--state", required=True, type=Path, help="file for what was measured")
    parser.add_argument("--images", type=Path, help="folder of pictures to cut others from")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--leave", type=int, default=500, help="clients that leave after 50 ms, and that wait")
    parser.add_argument("--server", action="append", default=[], help="a flag for the server")
    return parser.parse_args()


if __name__ == "__main__":
    main()
