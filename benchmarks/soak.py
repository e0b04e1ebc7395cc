"""Many requests of many clients to a server of export.serve on this machine: failures, latency, and its memory.

  python -m benchmarks.soak --model=DIR [--requests=10000] [--clients=8] [--seconds=1800] [--json=FILE]

JPEG and PNG files of many sizes, alone and in batches, by V1, V2 and gRPC; among them one request in twenty that has to
be refused, 30 MB of lists for example, and one client in fifty that does not send or read as it should
(`server_requests`). Each answer is compared with the one that the same picture got when it came alone. Exit 1 after a
failure, when the server does not tell within a second that it lives (p99), or when it has grown: from the second tenth
of the requests, after the warm-up, to the last one, by the median of each. Growth is 5 % or more, and as much as the
largest body that is sent, 40 MB: such bodies come and go, so one tenth may have one more of them than the other, which
is a third of the memory of a server of TFLite files. Requests that leak are many bodies.

With --proxy=PORT the requests of REST go there: to a proxy on this machine that passes them on to --port.
"""

import argparse
import http.client
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from benchmarks import machine, server_requests
from export.server import client_protocols

BAD_SHARE, RUDE_SHARE, GROWTH, LIVES_WITHIN = 0.05, 0.02, 0.05, 1.0
RUDE_SECONDS, GRPC_SHARE, BAD_GRPC_SHARE = 3.0, 0.1, 0.4
REFUSALS = ("INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")  # of gRPC, as 4xx of HTTP
TOLD_BY = ("detection_scores", "scores", "labels")  # By which answers of one picture are told from those of another.


class Soak:
    """The requests, shared by the clients."""

    def __init__(self, port, grpc_port, server, options):
        self.port, self.server, self.options = options.proxy or port, server, options
        self.grpc_port, self.begun_with = grpc_port, machine.resident(server.pid)
        self.pictures = server_requests.pictures(options.images)
        self.bad = server_requests.bad(self.pictures[-1])
        self.bad_messages = server_requests.bad_messages(self.pictures[-1])
        self.largest = max([*(len(body) for *_, body in self.bad), *map(len, self.bad_messages)]) / 2**20  # MB
        self.lock, self.done, self.failures, self.seconds, self.lives = threading.Lock(), 0, [], [], []
        self.statuses: Counter[int | str] = Counter()
        self.memory: list[tuple[int, float]] = []
        self.deadline = time.monotonic() + options.seconds
        connection = self.connection()
        self.alone = [self.numbers(self.ask(connection, *server_requests.v1([one]))[1])[0] for one in self.pictures]

    def connection(self):
        """One that stays open as long as the server lets it, and opens again when it is used."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(self, connection, path, headers, body):
        """Status and body of the answer to a POST."""
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def numbers(self, answer):
        """A number for each picture of an answer that no two share by chance: the best score, or the sum of labels."""
        answer = json.loads(answer)
        if "predictions" in answer:  # V1
            rows = answer["predictions"]
            found = {name: [row[name] for row in rows] for name in TOLD_BY if name in rows[0]}
        else:
            found = {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer["outputs"]}
        return self.told(found)

    def told(self, found):
        """The same of arrays [B, ...] by name."""
        name = next(name for name in TOLD_BY if name in found)
        return [float(np.sum(row) if name == "labels" else np.max(row, initial=0)) for row in found[name]]

    def watch(self):
        """Notes how long the server takes to say that it lives, until the requests are done."""
        while self.done < self.options.requests and time.monotonic() < self.deadline:
            start, connection = time.monotonic(), self.connection()
            connection.request("GET", "/v2/health/live")
            connection.getresponse().read()
            connection.close()
            self.lives.append(time.monotonic() - start)
            time.sleep(0.05)

    def work(self, client):
        """One client's share of the requests."""
        draw, connection = random.Random(client), self.connection()
        while True:
            with self.lock:
                if self.done >= self.options.requests or time.monotonic() > self.deadline:
                    connection.close()
                    return
                self.done += 1
                number = self.done
            problem = self.one(draw, connection, client)
            with self.lock:
                if problem:
                    self.failures.append(f"request {number}: {problem}")
                if number % max(1, self.options.requests // 100) == 0:
                    self.memory.append((number, machine.resident(self.server.pid)))

    def one(self, draw, connection, client):
        """Sends a request; returns what was wrong with the answer, if anything."""
        if draw.random() < RUDE_SHARE:
            server_requests.rude(self.port, draw, RUDE_SECONDS, self.grpc_port)
            return None
        good = draw.random() >= BAD_SHARE
        if good and draw.random() < GRPC_SHARE:
            return self.by_grpc(draw.randrange(len(self.pictures)))
        if not good and draw.random() < BAD_GRPC_SHARE:
            return self.refused(draw.choice(self.bad_messages))
        chosen = draw.choices(range(len(self.pictures)), k=draw.choice([1, 1, 1, 1, 2, 3, 4]))
        protocol = server_requests.v2 if draw.random() < 0.2 else server_requests.v1
        path, headers, body = protocol([self.pictures[i] for i in chosen]) if good else draw.choice(self.bad)
        headers = headers | {"X-Forwarded-For": f"10.0.0.{client}"}  # for a server that trusts this machine as a proxy
        start = time.monotonic()
        try:
            status, answer = self.ask(connection, path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if not good and isinstance(error, ConnectionError):  # It was refused before all of it was sent.
                return None
            return f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - start
        with self.lock:
            self.statuses[status] += 1
            if good:
                self.seconds.append(seconds)
        if not good:
            return None if 400 <= status < 500 else f"a bad request got {status}: {answer[:200]!r}"
        if status != 200:
            return f"{status}: {answer[:200]!r}"
        got, expected = self.numbers(answer), [self.alone[i] for i in chosen]
        return None if np.allclose(got, expected, atol=2e-3) else f"scores {got}, and alone {expected}"

    def by_grpc(self, chosen):
        """Sends a picture by gRPC; returns what was wrong with the answer, if anything."""
        start = time.monotonic()
        try:
            found = client_protocols.by_grpc(f"127.0.0.1:{self.grpc_port}", "soaked", self.pictures[chosen], 120.0)
        except client_protocols.RequestFailed as error:
            return f"gRPC: {error}"
        with self.lock:
            self.seconds.append(time.monotonic() - start)
            self.statuses["gRPC"] += 1
        got, expected = self.told({name: [found[name]] for name in TOLD_BY if name in found}), [self.alone[chosen]]
        return None if np.allclose(got, expected, atol=2e-3) else f"gRPC: scores {got}, and alone {expected}"

    def refused(self, message):
        """Sends a bad message by gRPC; returns what was wrong with the answer, if anything."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            try:
                channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(message, timeout=120.0)
            except grpc.RpcError as error:
                code = error.code().name
                with self.lock:
                    self.statuses[f"gRPC {code}"] += 1
                return None if code in REFUSALS else f"a bad message got {code}: {error.details()}"
        return f"a bad message of {len(message)} bytes got an answer: {message[:80]!r}"


def started(model, port, log, flags):
    """A server's process, its port, and that of gRPC, when it is ready."""
    given = [f"--model={model}", "--name=soaked", f"--port={port}", "--grpc_port=0", *flags]
    server = subprocess.Popen([sys.executable, "-m", "export.serve", *given], stdout=log, stderr=subprocess.STDOUT)
    for _ in range(3000):
        text = Path(log.name).read_text()
        if "Try it" in text:
            return server, *(int(re.search(rf"{kind}127.0.0.1:(\d+)", text)[1]) for kind in ("http://", "gRPC +"))
        if server.poll() is not None:
            sys.exit(f"the server did not start:\n{Path(log.name).read_text()}")
        time.sleep(0.1)
    server.kill()
    sys.exit("the server was not ready after 5 minutes")


def main():
    options = parse()
    with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
        server, port, grpc_port = started(options.model, options.port, log, options.server)
        try:
            soak = Soak(port, grpc_port, server, options)
            begin = time.monotonic()
            with ThreadPoolExecutor(options.clients + 1) as pool:
                try:
                    watching = pool.submit(soak.watch)
                    list(pool.map(soak.work, range(options.clients)))
                finally:
                    soak.deadline = 0.0  # After Ctrl-C no client begins another request.
                watching.result()
            took, last = time.monotonic() - begin, machine.resident(server.pid)
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        finally:
            server.kill()
        output = Path(log.name).read_text()
    report(soak, took, last, status, options, output)


def tenths(memory: list[float]) -> tuple[float, float]:
    """Medians of the second and the last tenth of what was measured."""
    tenth = max(1, len(memory) // 10)
    return float(np.median(memory[tenth : 2 * tenth] or memory)), float(np.median(memory[-tenth:]))


def grown(warm: float, last: float, body: float) -> bool:
    """Whether a server has grown, of its memory after the warm-up and at the end, and the largest body, all in MB."""
    return last - warm >= max(GROWTH * warm, body)


def report(soak, took, last, status, options, output):
    """Prints and writes the figures; ends the program with 1 if one is not as it should be."""
    p50, p99 = np.percentile(soak.seconds, [50, 99]) * 1000
    lives = float(np.percentile(soak.lives, 99))
    memory = [memory for _, memory in sorted(soak.memory)] or [last]
    warm, last = tenths(memory)
    growth = last / warm - 1
    problems = soak.failures[:10]
    if soak.done < options.requests:
        problems.append(f"only {soak.done} of {options.requests} requests in {options.seconds} seconds (--seconds)")
    if lives > LIVES_WITHIN:
        problems.append(f"the server took {lives:.2f} s to tell that it lives (p99)")
    if grown(warm, last, soak.largest):
        problems.append(f"memory grew by {last - warm:.0f} MB, {growth:.1%}, after the warm-up")
    if status or "Traceback" in output:
        problems.append(f"the server ended with {status} and wrote:\n{output[-2000:]}")
    statuses = ", ".join(f"{count} x {one}" for one, count in sorted(soak.statuses.items(), key=str))
    print(f"{soak.done} requests of {options.clients} clients in {took:.0f} s ({soak.done / took:.1f}/s): {statuses}")
    print(
        f"{len(soak.failures)} failures; p50 {p50:.1f} ms, p99 {p99:.1f} ms; lives within {1000 * lives:.1f} ms (p99)"
    )
    start = soak.begun_with
    print(f"memory {start:.0f} MB at first, {warm:.0f} after the warm-up, {last:.0f} at the end ({growth:+.1%})")
    if options.json:
        figures = {"requests": soak.done, "clients": options.clients, "seconds": took, "failures": len(soak.failures)}
        figures |= {
            "lives_p99_ms": 1000 * lives,
            "p50_ms": p50,
            "p99_ms": p99,
            "start_mb": start,
            "warm_mb": warm,
            "end_mb": last,
            "memory": sorted(soak.memory),
        }
        options.json.write_text(json.dumps(figures | {"machine": machine.facts()}, indent=1, default=str) + "\n")
    if problems:
        sys.exit("\n".join(problems))


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder that export.saved_model wrote")
    parser.add_argument("--images", type=Path, help="folder of pictures to cut others from")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1800, help="at most")
    parser.add_argument("--port", type=int, default=0, help="of the server's REST")
    parser.add_argument("--proxy", type=int, default=0, help="port of a proxy that passes requests on to --port")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--server", action="append", default=[], help="a flag for the server, as in --server=--max_batch=4"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
