"""gRPC: its calls within the limits of REST, with requests refused in our words."""

import asyncio
import time

import grpc
from grpc import StatusCode

from ..messages import prediction_pb2
from . import grpc_calls, metrics
from .errors import Refused
from .grpc_calls import HEALTH_SERVICE, Method
from .limits import Limits, explained
from .registry import Registry

PATIENCE = 120.0  # seconds that a message may take to come, or to go: how much of it has moved nobody tells
CONNECTIONS, CALLS = 1024, 128  # at a time, and calls of each at a time
BEGUN_MS, IDLE_MS = 20_000, 60_000  # milliseconds that a connection may take to begin, and may be without a call
WATCH = 1.0  # seconds after which a watched state is looked at again
_CODES = {
    404: StatusCode.NOT_FOUND, 408: StatusCode.DEADLINE_EXCEEDED, 413: StatusCode.OUT_OF_RANGE,
    500: StatusCode.INTERNAL, 503: StatusCode.UNAVAILABLE,
}  # fmt: skip


def _handler(registry: Registry, limits: Limits, name: str, method: Method) -> grpc.RpcMethodHandler:
    """What answers the calls of a method: as streams of one message each, which look the same and which it can time."""

    async def call(_, context: grpc.aio.ServicerContext):
        start, address, code = time.monotonic(), context.peer().rpartition(":")[0], StatusCode.CANCELLED
        try:
            with explained(f"gRPC {name}"):
                message = await _message(limits, address, context)
                if method.predicts:
                    with limits.place():
                        fields = await method.answer(registry, message)
                else:
                    fields = await method.answer(registry, message)
                answer = method.response(**fields)
                async with limits.responses.one(address, answer.ByteSize(), PATIENCE):
                    await context.write(answer)
            code = StatusCode.OK
        except Refused as refused:
            code = _refuse(context, refused)
        finally:
            if method.predicts:
                metrics.REQUESTS.labels(method.predicts, code.name).inc()
                metrics.SECONDS.labels(method.predicts).observe(time.monotonic() - start)

    return grpc.stream_stream_rpc_method_handler(call, None, method.response.SerializeToString)


async def _message(limits: Limits, address: str, context: grpc.aio.ServicerContext) -> bytes:
    """The message of a call; Refused if none comes in time."""
    async with limits.uploads.one(address, limits.max_bytes, PATIENCE):
        message = await context.read()
    if not isinstance(message, bytes):
        raise Refused("the call ended without a message")
    return message


def _refuse(context: grpc.aio.ServicerContext, refused: Refused) -> StatusCode:
    """Says what the call ends with, when its handler has returned; the code.

    `context.abort` would raise an error that keeps the refusal, and with it the message, until garbage is collected.
    """
    code = _CODES.get(refused.status, StatusCode.INVALID_ARGUMENT)
    context.set_code(code)
    context.set_details(refused.sentence)
    # As REST has a header of that name: with UNAVAILABLE, it tells a server that is busy from one that is gone.
    context.set_trailing_metadata(tuple(refused.headers.items()))
    return code


def _watcher(registry: Registry, limits: Limits) -> grpc.RpcMethodHandler:
    """grpc.health.v1's Watch: the state of a service now, and whenever it changes, until its client leaves."""

    async def watch(_, context: grpc.aio.ServicerContext):
        try:
            with explained("gRPC Watch"):
                message = await _message(limits, context.peer().rpartition(":")[0], context)
                request = grpc_calls.read(prediction_pb2.HealthCheckRequest, message)
        except Refused as refused:
            _refuse(context, refused)
            return
        last = ""
        while True:
            status = grpc_calls.health(registry, request.service) or "SERVICE_UNKNOWN"
            if status != last:
                await context.write(prediction_pb2.HealthCheckResponse(status=status))
            if registry.stopping:  # Else the server would wait for its watchers to leave.
                return
            last = status
            await asyncio.sleep(WATCH)

    return grpc.stream_stream_rpc_method_handler(watch, None, prediction_pb2.HealthCheckResponse.SerializeToString)


def server(registry: Registry, limits: Limits) -> grpc.aio.Server:
    """A server within the limits of REST; larger messages are RESOURCE_EXHAUSTED."""
    options = [
        ("grpc.max_receive_message_length", limits.max_bytes),
        ("grpc.max_send_message_length", -1),
        # No compression: the limit is of what comes, not of what it unpacks to.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.so_reuseport", 0),  # Else a second server would take half of the requests, without a word.
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.max_concurrent_streams", CALLS),
        ("grpc.server_handshake_timeout_ms", BEGUN_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
    ]
    served = grpc.aio.server(options=options)
    for service, methods in grpc_calls.SERVICES.items():
        handlers = {name: _handler(registry, limits, name, method) for name, method in methods.items()}
        if service == HEALTH_SERVICE:
            handlers["Watch"] = _watcher(registry, limits)
        served.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    return served
