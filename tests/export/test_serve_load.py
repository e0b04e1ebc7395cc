"""A server that many ask at once. Its batches of three wait an hour to be filled: only a test ends the waiting."""

import concurrent.futures
import contextlib
import json
import os
import resource
import signal
import socket
import threading

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import grpc

from export.server import client_protocols, grpc_api, http_connection, limits
from tests.export import served_folders, servers
from tests.export.served_folders import picture
from tests.export.servers import until

WAITING, PICTURES = "tfrecog_waiting_pictures", "tfrecog_batch_pictures_sum"
BOX = (1, 2, 15, 20)
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # preface and settings
PNG = served_folders.encoded(picture(9, 9))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return served_folders.write(tmp_path_factory.mktemp("served") / "finder", served_folders.RedFinder(), "detection")


def beside(folder, story, **flags):
    patient = {"max_batch": 3, "max_wait_ms": 3.6e6, "max_in_flight": 4}
    return servers.beside(folder, story, **patient | flags)


def test_pictures_of_several_requests_are_seen_together(folder):
    def story(server):
        batches, pictures = server.number("tfrecog_batch_pictures_count"), server.number(PICTURES)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(server.predict, [picture(50, 60, (5, 5, 20, 30)).tolist()])
            until(lambda: server.number(WAITING) == 1)
            others = server.predict([picture(50, 60, (5, 5, 20, 31 + i)).tolist() for i in range(2)])
            assert [one["detection_boxes"][0][3] for one in [*first.result(), *others]] == [30, 31, 32]
        assert server.number("tfrecog_batch_pictures_count") == batches + 1
        assert server.number(PICTURES) == pictures + 3

    beside(folder, story)


def test_a_client_that_leaves_has_its_work_dropped(folder):
    def story(server):
        gone = 'tfrecog_refused_total{reason="client gone"}'
        before, pictures = server.number(gone), server.number(PICTURES)
        with server.sending(picture(33, 44)), server.sending(picture(33, 44), part=0.3):
            until(lambda: server.number(WAITING) == 1 and server.number("tfrecog_open_requests") == 2)
        until(lambda: server.number(gone) == before + 2)
        assert len(server.predict([picture(33, 44).tolist()] * 3)) == 3  # A batch, which would have had more.
        assert server.number(PICTURES) == pictures + 3
        assert server.number("tfrecog_open_requests") == server.number(WAITING) == 0

    beside(folder, story)


def test_more_than_may_wait_are_told_to_come_again(folder):
    def story(server):
        body = json.dumps({"instances": [picture(21, 30).tolist()]})
        with contextlib.ExitStack() as waiting:
            for width in range(22, 26):
                waiting.enter_context(server.sending(picture(21, width)))
            until(lambda: server.number(WAITING) == 4)
            status, headers, answer = server.ask("POST", "/v1/models/finder:predict", body)
            assert status == 503 and headers["retry-after"] == "1"
            assert "--max_in_flight" in json.loads(answer)["error"]
            # By gRPC a request has a place, and its picture has none.
            with pytest.raises(client_protocols.RequestFailed, match=r"--max_in_flight.*UNAVAILABLE") as refused:
                client_protocols.by_grpc(server.grpc, "finder", served_folders.encoded(picture(21, 30)))
            assert refused.value.reached, "so that a client goes on"
        until(lambda: server.number("tfrecog_open_requests") == 0)
        assert len(server.predict([picture(21, 22).tolist()] * 3)) == 3

    beside(folder, story)


def test_grpc_has_room_for_as_many_requests(folder):
    def story(server):
        with server.grpc_infer() as ask:
            waiting = [ask.future(server.request(picture(21, 22 + i)), timeout=600) for i in range(4)]
            until(lambda: server.number(WAITING) == 4)
            with pytest.raises(client_protocols.RequestFailed, match="UNAVAILABLE") as refused:
                client_protocols.by_grpc(server.grpc, "finder", served_folders.encoded(picture(21, 30)))
            assert refused.value.reached, "so that a client goes on"
            for one in waiting:
                one.cancel()
            until(lambda: server.number(WAITING) == 0)
            again = [ask.future(server.request(picture(21, 22, BOX)), timeout=600) for _ in range(3)]
            assert [len(one.result().outputs) > 0 for one in again] == [True] * 3

    beside(folder, story)


def test_sigterm_lets_it_answer_those_that_wait_for_the_model(folder):
    def story(server):
        with server.grpc_infer() as ask:
            waiting = [ask.future(server.request(picture(40, 40, BOX)), timeout=600) for _ in range(2)]
            with server.sending(picture(40, 40, BOX), part=0.5) as (connection, rest):
                until(lambda: server.number(WAITING) == 2 and server.number("tfrecog_open_requests") == 1)
                os.kill(os.getpid(), signal.SIGTERM)
                until(lambda: not server.listens())
                connection.sendall(rest)  # which fills the batch
                (answer,) = servers.predictions(connection)
                assert answer["detection_boxes"] == [[*BOX]]
            for one in waiting:
                tensors = zip(one.result().outputs, one.result().raw_output_contents, strict=True)
                (boxes,) = [
                    np.frombuffer(raw, np.float32) for output, raw in tensors if output.name == "detection_boxes"
                ]
                np.testing.assert_array_equal(boxes, BOX)

    assert "stopped; what was begun is answered" in beside(folder, story, grace_s=600.0)


def test_a_connection_whose_head_does_not_end_is_closed(folder, monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 1.0)

    def story(server):
        with contextlib.ExitStack() as several:
            address = ("127.0.0.1", server.port)
            silent, unfinished, second = [
                several.enter_context(socket.create_connection(address, timeout=60)) for _ in range(3)
            ]
            second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert second.recv(65536).startswith(b"HTTP/1.1 200")
            unfinished.sendall(b"GET / HT")
            second.sendall(b"GET")
            assert [several.enter_context(one.makefile("rb")).read()[:5] for one in (silent, unfinished)] == [b"", b""]
            several.enter_context(second.makefile("rb")).read()  # until it is closed

    beside(folder, story)


def test_a_connection_whose_client_does_not_read_is_closed(folder, monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.5)

    def story(server):
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.settimeout(60)
            with contextlib.suppress(ConnectionError):
                while True:  # until the server, which answers nobody who does not read, takes no more
                    deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

    beside(folder, story)


def test_of_too_many_idle_connections_the_one_not_heard_of_for_longest_is_closed(folder, monkeypatch):
    monkeypatch.setattr(http_connection, "IDLE", 2)

    def story(server):
        with contextlib.ExitStack() as several:
            idle = [several.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))]
            for _ in range(2):
                idle.append(several.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)))
            with contextlib.suppress(ConnectionResetError):
                assert idle[0].recv(1) == b""
            idle[2].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle[2].recv(65536).startswith(b"HTTP/1.1 200")

    beside(folder, story)


def test_the_limit_to_open_files_is_raised_to_the_hard_one(folder):
    """A connection is one, and a usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        beside(folder, lambda server: None)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_calls_of_grpc_are_counted_by_address(folder, monkeypatch):
    """As many as one address may have wait for their message; the next call ends the first of them."""
    monkeypatch.setattr(limits, "SLOW", 0.0)

    def story(server):
        ended = threading.Event()

        def nothing():
            ended.wait(60)
            yield from ()

        with grpc.insecure_channel(server.grpc) as channel:
            infer = channel.stream_stream("/inference.GRPCInferenceService/ModelInfer")
            slow = [infer(nothing()) for _ in range(limits.TRANSFERS // 4)]
            assert len(client_protocols.by_grpc(server.grpc, "finder", PNG)) > 0
            until(lambda: sum(one.done() for one in slow) == 1)
            assert {one.code() for one in slow if one.done()} == {grpc.StatusCode.DEADLINE_EXCEEDED}
            ended.set()

    beside(folder, story, max_batch=1)


def test_more_connections_than_grpc_takes_are_refused(folder, monkeypatch):
    monkeypatch.setattr(grpc_api, "CONNECTIONS", 2)

    def story(server):
        def answered():
            with contextlib.suppress(client_protocols.RequestFailed):
                return client_protocols.by_grpc(server.grpc, "finder", PNG)

        with contextlib.ExitStack() as several:
            address = ("127.0.0.1", server.grpc_port)
            taken = [several.enter_context(socket.create_connection(address, 60)) for _ in range(2)]
            assert all(one.recv(3) for one in taken), "settings"
            more = several.enter_context(socket.create_connection(address, 60))
            assert more.recv(3) == b""
            taken[0].close()
            until(answered)

    beside(folder, story, max_batch=1)


@pytest.mark.parametrize("sent", [b"", HTTP2], ids=["silent", "no call"])
def test_a_connection_of_grpc_without_a_call_is_closed(folder, monkeypatch, sent):
    monkeypatch.setattr(grpc_api, "BEGUN_MS", 500)
    monkeypatch.setattr(grpc_api, "IDLE_MS", 500)

    def story(server):
        with socket.create_connection(("127.0.0.1", server.grpc_port), 60) as idle:
            idle.sendall(sent)
            idle.makefile("rb").read()  # until it is closed

    beside(folder, story)


@pytest.mark.parametrize("proxies, told_apart", [("127.0.0.0/8", True), ("", False)])
def test_clients_of_a_trusted_proxy_are_told_apart(folder, monkeypatch, proxies, told_apart):
    """As many uploads as one address may have; another one of the same proxy ends the first, if it is not trusted."""
    monkeypatch.setattr(limits, "SLOW", 0.0)

    def story(server):
        with contextlib.ExitStack() as several:
            uploads = [
                several.enter_context(server.sending(picture(9, 9), 0.0, "X-Forwarded-For: 10.0.0.1"))
                for _ in range(limits.TRANSFERS // 4)
            ]
            until(lambda: server.number("tfrecog_open_requests") == len(uploads))
            slow = server.number('tfrecog_refused_total{reason="slow"}')
            several.enter_context(server.sending(picture(9, 9), 0.5, "X-Forwarded-For: 10.0.0.2"))
            until(lambda: server.number("tfrecog_open_requests") == len(uploads) + told_apart)
            until(lambda: server.number('tfrecog_refused_total{reason="slow"}') == slow + (not told_apart))

    beside(folder, story, trusted_proxies=proxies)
