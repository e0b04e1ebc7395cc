"""What a server has refused goes at once, and not when garbage is collected: bodies of 30 MB are no small thing."""

import asyncio
import gc
import types
import weakref

import grpc
import pytest

from export.messages import inference_pb2 as pb
from export.server import grpc_api, grpc_calls, http_connection, model
from export.server.errors import Refused
from export.server.limits import Limits


class Large:
    """Stands for the body of a request, or its pictures."""


async def refuse(*_):
    """Refuses what it has made of its arguments; tells the reference to that."""
    large = Large()
    seen.append(weakref.ref(large))
    await asyncio.sleep(0)
    raise Refused("it is too large")


seen = []


async def by_http():
    scope = {"type": "http", "method": "POST", "path": "/v1", "headers": [(b"content-length", b"2")], "state": {}}
    messages, sent = [{"type": "http.request", "body": b"{}"}], []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    application = http_connection.Application(refuse, Limits(max_bytes=10, max_requests=2))
    await application(scope, receive, send)
    assert sent[0]["status"] == 400


async def by_grpc():
    method = grpc_calls.Method(pb.ModelInferRequest, pb.ModelInferResponse, refuse)
    handler = grpc_api._handler(None, Limits(max_bytes=10, max_requests=2), "Ask", method)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Service", {"Ask": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as error:
            await channel.unary_unary("/Service/Ask")(b"12")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    await server.stop(None)


async def by_pictures():
    with pytest.raises(Refused):
        await model.ServedModel._results(types.SimpleNamespace(_see=refuse), [1, 2])


@pytest.mark.parametrize("refused", [by_http, by_grpc, by_pictures])
def test_what_is_refused_is_kept_by_nothing(refused):
    seen.clear()
    gc.collect()
    gc.disable()
    try:
        asyncio.run(refused())
        assert seen and not any(one() for one in seen)
    finally:
        gc.enable()


@pytest.mark.parametrize(("calm", "seen"), [(3600, ["closed"]), (0, ["closed", "collected"])])
def test_a_version_that_has_left_is_collected_when_the_first_answers_of_the_next_are_given(calm, seen, monkeypatch):
    told = []
    monkeypatch.setattr(model, "CALM", calm)
    monkeypatch.setattr(model, "gc", types.SimpleNamespace(collect=lambda: told.append("collected")))

    async def leave():
        leaving = asyncio.create_task(
            model.ServedModel.leave(types.SimpleNamespace(_open=0, close=lambda: told.append("closed")))
        )
        for _ in range(10):
            await asyncio.sleep(0)
        leaving.cancel()

    asyncio.run(leave())
    assert told == seen
