"""The server's process: its sockets, signals, start and end."""

import asyncio
import contextlib
import errno
import functools
import logging
import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from tfrecog.cli import spelling
from tfrecog.cli.errors import UserError

from . import client_protocols, grpc_api, http_connection, rest_api
from .limits import Limits
from .model import ServedModel
from .registry import Model, Registry, Version
from .tls import Tls
from .workers import Workers

_say = functools.partial(print, flush=True)


def name_of(name: str, folder: str) -> str:
    """The name of the model in addresses; UserError if it would not stand in one."""
    name = name or Path(folder).resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(
            f"--name: {name!r} cannot stand in an address; letters, digits and . _ - can, as in --name=dogs"
        )
    return name


def bound(host: str, port: int, flag: str) -> socket.socket:
    """A socket that REST may listen on; UserError if another program does."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
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


async def serve(
    flags, name: str, listening: socket.socket, path: Path, metadata: dict[str, Any], tls: Tls | None = None
) -> None:
    """Serves the version of a model in a folder under a name until a signal comes.

    Raises:
        UserError: the model cannot be loaded, or the port of gRPC is taken.
    """
    _prepare()
    workers, stop = Workers(flags), asyncio.Event()
    served = ServedModel(name, path, metadata, workers)
    version = Version(served.version, "LOADING", served=served)
    registry = Registry([Model(name, {version.number: version})], workers)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop, registry, stop, number)
    limits = Limits(max_bytes=int(flags.max_request_mb * 2**20), max_requests=flags.max_in_flight)
    server = _rest(flags, registry, limits, tls)
    remote, grpc_port = await _remote(flags, registry, limits, tls)
    answering = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await served.warm_up()
    except BaseException:
        if remote:
            await remote.stop(0)
        raise
    version.state = "AVAILABLE"
    _say(spelling.here(_served(served, flags.host, listening.getsockname()[1], grpc_port, tls)))
    await stop.wait()
    server.should_exit = True
    await asyncio.gather(answering, *([remote.stop(flags.grace_s)] if remote else []))
    served.close()
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
    if not registry.ready():  # Nothing has begun, and a thread that loads the model cannot be stopped.
        _say("stopped before the model was ready")
        os._exit(0)
    _say("stopping when the requests in work are answered (once more: at once) ...")
    registry.stopping = True
    stop.set()


def _served(model: ServedModel, host: str, port: int, grpc_port: int, tls: Tls | None) -> str:
    """What the server prints when it is ready."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else client_protocols.bracketed(host)
    address, about = f"{'https' if tls else 'http'}://{shown}:{port}", model.metadata
    predict, remote = f"{address}/v1/models/{model.name}:predict", f"\n  gRPC     {shown}:{grpc_port}"
    return f"""\
Serving {model.path} ({about["task"]}, {len(about["classes"])} classes, step {about.get("step", "?")}) as {model.name!r}
  REST     {predict}, {address}/v2/models/{model.name}/infer{remote if grpc_port >= 0 else ""}
  Page     {address}/
  State    {address}/v2/health/ready, {address}/v2/models/{model.name}, {address}/metrics
Try it:
  curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {predict}
  python -m export.client --url={address} --images=photo.jpg --out=SEEN"""
