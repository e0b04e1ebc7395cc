"""Serves a folder of export.saved_model over REST and gRPC, with kserve.

python -m export.serve --model=DIR --port=8080
"""

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from tfrecog.cli import flags, signals, validate
from tfrecog.cli.facts import NonNegative, Positive, Range

from .server import client_protocols, extra, model_file


@dataclasses.dataclass(frozen=True)
class Serving:
    """Flags of the server."""

    model: Annotated[str, "Folder that export.saved_model wrote; its newest version is served."] = ""
    name: Annotated[str, "Name of the model in addresses. Empty: that of the folder."] = ""
    host: Annotated[
        str,
        "Address to listen on. Whoever reaches it may use the server, so by default only this machine does; 0.0.0.0: "
        "every network that this machine is in.",
    ] = "127.0.0.1"
    port: Annotated[int, "Port of REST. 0: any free one.", Range(0, 65535)] = 8080
    grpc_port: Annotated[int, "Port of gRPC. 0: any free one; -1: no gRPC.", Range(-1, 65535)] = 8081
    max_request_mb: Annotated[
        float,
        "A larger request is refused before it is read; a message of gRPC is limited too.",
        Range(0, 2048, unit="MB", ends="()"),
    ] = 32.0
    max_megapixels: Annotated[
        float,
        "A larger picture is refused before it is decoded; a batch has no more pixels than that together.",
        Positive("megapixels"),
    ] = 50.0
    max_batch: Annotated[int, "Batch size: pictures of one size that the model sees at a time.", Positive("images")] = 8
    max_wait_ms: Annotated[float, "How long a picture waits for others of its size.", NonNegative("ms")] = 5.0
    max_in_flight: Annotated[
        int,
        "Requests in progress, and pictures that wait for the model; more are refused (503).",
        Positive("requests"),
    ] = 64
    threads: Annotated[int, "Threads that decode pictures. 0: one for each core.", NonNegative("threads")] = 0
    grace_s: Annotated[float, "How long requests may take to finish after SIGTERM.", Positive("seconds")] = 30.0

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.port and self.port == self.grpc_port:
            yield "grpc_port", "is the port of REST as well (--port); each needs its own"


def check(serving: Serving) -> None:
    """ValueError with the first flag that cannot be."""
    validate.check(serving)
    if not serving.host:  # It would mean every network.
        raise ValueError("--host: name an address, as 127.0.0.1 (this machine alone) or 0.0.0.0 (all networks)")
    if not serving.model:
        raise ValueError("--model: name a folder that export.saved_model wrote, as in --model=exported/NAME")


def name_of(serving: Serving) -> str:
    """The name of the model in addresses; ValueError if it would not stand in one."""
    name = serving.name or Path(serving.model).resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"--name: {name!r} cannot stand in an address; letters, digits and . _ - can, as in --name=dogs"
        )
    return name


def bound(host: str, port: int, flag: str) -> socket.socket:
    """A socket that REST may listen on; ValueError if another program does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)  # Now: two sockets may be bound to one port until one of them listens.
    except OSError as error:
        listening.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ValueError(
                f"--host={host} is no address of this machine ({error.strerror}); 127.0.0.1 is, and 0.0.0.0 means all"
            ) from error
        raise ValueError(_taken(host, port, flag, error.strerror)) from error
    return listening


def _taken(host, port, flag, reason):
    return f"--{flag}={port}: cannot listen on {host}:{port} ({reason}); choose another port, or 0 for any free one"


class Stop:
    """SIGTERM and SIGINT: the first lets the server end what it has begun, the second ends the program at once."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.ready = False
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._came, number)

    def _came(self, number):
        if not self.ready:  # Nothing has begun, and a thread that loads the model cannot be stopped.
            _say("stopped before the model was ready")
            os._exit(0)
        if self.asked.is_set():
            _say("stopped at once")
            os._exit(128 + number)
        _say("stopping when the requests in work are answered (once more: at once) ...")
        self.asked.set()


async def serve(serving: Serving, name: str, listening: socket.socket, found: tuple[Path, str, dict[str, Any]]) -> None:
    """Serves until a signal comes; ValueError if the model cannot be loaded or a port is taken."""
    import kserve
    import uvicorn

    from .server import grpc_api, http_timeouts, limits, rest_api
    from .server.model import Recogniser

    class Server(uvicorn.Server):
        """uvicorn without its own signals."""

        @contextlib.contextmanager
        def capture_signals(self):
            yield

    stop, registry = Stop(), kserve.ModelRepository()
    model = Recogniser(name, *found, serving)
    registry.update(model)
    plane = rest_api.Plane(registry, model)
    most = int(serving.max_request_mb * 2**20)
    app = limits.Limits(rest_api.application(plane), max_bytes=most, max_requests=serving.max_in_flight)
    config = uvicorn.Config(
        app, http=http_timeouts.Connection, log_config=None, access_log=False, lifespan="off", ws="none",
        timeout_keep_alive=65, timeout_graceful_shutdown=max(1, round(serving.grace_s)), server_header=False,
    )  # fmt: skip
    remote, grpc_port = None, -1
    if serving.grpc_port >= 0:
        remote = grpc_api.server(plane, max_bytes=most, max_requests=serving.max_in_flight)
        try:
            grpc_port = remote.add_insecure_port(f"{client_protocols.bracketed(serving.host)}:{serving.grpc_port}")
        except RuntimeError as error:  # Of the reason gRPC says nothing.
            reason = "in use, or not allowed"
            raise ValueError(_taken(serving.host, serving.grpc_port, "grpc_port", reason)) from error
        await remote.start()
    server, work = Server(config), asyncio.create_task(model.batcher.work())
    answering = asyncio.create_task(server.serve(sockets=[listening]))
    await model.warm_up()
    stop.ready = True
    _say(_served(model, serving.host, listening.getsockname()[1], grpc_port))
    await stop.asked.wait()
    server.should_exit = True
    await asyncio.gather(answering, *([remote.stop(serving.grace_s)] if remote else []))
    work.cancel()
    model.pool.shutdown(wait=False, cancel_futures=True)
    _say("stopped; what was begun is answered")


def _served(model, host, port, grpc_port) -> str:
    """What the server prints when it is ready."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else client_protocols.bracketed(host)
    address, about = f"http://{shown}:{port}", model.metadata
    predict = f"{address}/v1/models/{model.name}:predict"
    lines = [
        f"Serving {model.path} ({about['task']}, {len(about['classes'])} classes, step {about.get('step', '?')}) as "
        f"{model.name!r}",
        f"  REST     {predict}, {address}/v2/models/{model.name}/infer",
        *([f"  gRPC     {shown}:{grpc_port}"] if grpc_port >= 0 else []),
        f"  State    {address}/v2/health/ready, {address}/v2/models/{model.name}, {address}/metrics",
        "Try it:",
        f"  curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {predict}",
        f"  python -m export.client --url={address} photo.jpg --out=SEEN",
    ]
    return "\n".join(lines)


def _say(text):
    print(text, flush=True)


def _quiet() -> None:
    """Logs warnings and errors alone, a line each, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main(serving: Serving) -> None:
    """Serves; what the user can mend ends the program with a message."""
    try:
        check(serving)
        name, found = name_of(serving), model_file.newest(serving.model)
        listening = bound(serving.host, serving.port, "port")
        _quiet()
        try:
            with extra.importing():
                import kserve  # noqa: F401
        except ImportError as error:
            sys.exit(f"error: {extra.MISSING} ({error})")
        print(f"Loading {found[0]} ...", flush=True)
        asyncio.run(serve(serving, name, listening, found))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    signals.listen()
    main(flags.parse(Serving()))
