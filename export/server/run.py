"""The server's process: its sockets, signals, start and end."""

import asyncio
import contextlib
import errno
import functools
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

import uvicorn

from tfrecog.cli import spelling
from tfrecog.cli.errors import UserError

from . import client_protocols, grpc_api, http_connection, rest_api
from .keeper import Keeper
from .limits import Limits
from .model import ServedModel
from .registry import Registry
from .tls import Tls
from .workers import Workers

_say = functools.partial(print, flush=True)


def bound(host: str, port: int, flag: str) -> socket.socket:
    """A socket that REST may listen on; UserError if another program does."""
    # Only of a socket that says TCP does asyncio see that it is: else what is small waits 40 ms for an ACK (Nagle).
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)  # Now: two sockets may be bound to one port until one of them listens.
    except OSError as error:
        listening.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"--host={host} is no address of this machine ({error.strerror}); 127.0.0.1 is, and 0.0.0.0 means all"
            ) from error
        raise _taken(host, port, flag, error.strerror) from error
    return listening


def _taken(host, port, flag, reason):
    return UserError(
        f"--{flag}={port}: cannot listen on {host}:{port} ({reason}); choose another port, or 0 for any free one"
    )


async def serve(flags, keepers: list[Keeper], workers: Workers, listening: socket.socket, tls: Tls | None) -> None:
    """Serves the models of keepers until a signal comes.

    Raises:
        UserError: a model cannot be loaded, or the port of gRPC is taken.
    """
    _prepare()
    registry, stop = Registry([one.model for one in keepers], workers), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop, registry, stop, number)
    limits = Limits(max_bytes=int(flags.max_request_mb * 2**20), max_requests=flags.max_in_flight)
    server = _rest(flags, registry, limits, tls)
    remote, grpc_port = await _remote(flags, registry, limits, tls)
    answering = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        for one in keepers:
            await one.start()
    except BaseException:
        if remote:
            await remote.stop(0)
        raise
    registry.started = True
    served = [model for one in keepers for model in one.model.available()]
    _say(spelling.here(_served(served, flags.host, listening.getsockname()[1], grpc_port, tls)))
    watching = [asyncio.create_task(one.watch()) for one in keepers if one.watched]
    await stop.wait()
    for one in watching:
        one.cancel()
    server.should_exit = True
    await asyncio.gather(answering, *([remote.stop(flags.grace_s)] if remote else []))
    for one in keepers:
        one.close()
    workers.close()
    _say("stopped; what was begun is answered")


def _prepare() -> None:
    """Warnings and errors are a line each, and as many files may be open as the system allows."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # It warns of each bad request, of which there are many.
    with contextlib.suppress(ValueError, OSError):  # macOS has a hard limit that it refuses.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # of open files: a connection is one


def _rest(flags, registry: Registry, limits: Limits, tls: Tls | None):
    """uvicorn's server of REST."""
    app = http_connection.Application(functools.partial(rest_api.answer, registry), limits)
    config = uvicorn.Config(
        app, http=http_connection.Connection, log_config=None, access_log=False, lifespan="off", ws="none",
        timeout_keep_alive=65, server_header=False,
        timeout_graceful_shutdown=max(1, round(flags.grace_s)), proxy_headers=bool(flags.trusted_proxies),
        forwarded_allow_ips=flags.trusted_proxies,
    )  # fmt: skip
    config.load()
    config.ssl = tls.context() if tls else None
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # They are ours.
    return server


async def _remote(flags, registry: Registry, limits: Limits, tls: Tls | None):
    """The server of gRPC and its port, started; None and -1 if there is to be none."""
    if flags.grpc_port < 0:
        return None, -1
    remote, address = grpc_api.server(registry, limits), f"{client_protocols.bracketed(flags.host)}:{flags.grpc_port}"
    try:
        port = remote.add_secure_port(address, tls.credentials()) if tls else remote.add_insecure_port(address)
    except RuntimeError as error:  # Of the reason gRPC says nothing.
        raise _taken(flags.host, flags.grpc_port, "grpc_port", "in use, or not allowed") from error
    await remote.start()
    return remote, port


def _stop(registry: Registry, stop: asyncio.Event, number: int) -> None:
    """What a signal does: the first lets the server end what it has begun, the second ends the program at once."""
    if stop.is_set():
        _say("stopped at once")
        os._exit(128 + number)
    if not registry.started:  # Nothing has begun, and a thread that loads the model cannot be stopped.
        _say("stopped before the model was ready")
        os._exit(0)
    _say("stopping when the requests in work are answered (once more: at once) ...")
    registry.stopping = True
    stop.set()


def _served(models: list[ServedModel], host: str, port: int, grpc_port: int, tls: Tls | None) -> str:
    """What the server prints when it is ready."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else client_protocols.bracketed(host)
    address, model = f"{'https' if tls else 'http'}://{shown}:{port}", models[-1]
    predict, remote = f"{address}/v1/models/{model.name}:predict", f"\n  gRPC     {shown}:{grpc_port}"
    lines = [f"Serving {one.path} ({_about(one.metadata)}) as {one.name!r}\n" for one in models]
    return f"""\
{"".join(lines)}\
  REST     {predict}, {address}/v2/models/{model.name}/infer{remote if grpc_port >= 0 else ""}
  Page     {address}/
  State    {address}/v2/health/ready, {address}/v2/models/{model.name}, {address}/metrics
Try it:
  curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {predict}
  python -m export.client --url={address} --images=photo.jpg --out=SEEN"""


def _about(metadata: dict[str, Any]) -> str:
    return f"{metadata['task']}, {len(metadata['classes'])} classes, step {metadata.get('step', '?')}"
