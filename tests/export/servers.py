"""Servers of export.serve, in a process of their own and in that of a test, and what a client does with them."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import grpc

from export import serve
from export.messages import inference_pb2 as pb
from export.server import keeper, run
from export.server.tls import Tls
from export.server.workers import Workers
from tests import processes
from tests.folders import REPOSITORY
from tests.processes import until


class Address:
    """Where a server listens, and what a client does there."""

    def __init__(self, name: str, text: str):
        """Reads the ports in what the server printed."""
        self.name = name
        self.port = int(re.search(r"https?://127.0.0.1:(\d+)", text)[1])
        self.grpc_port = int(re.search(r"gRPC +127.0.0.1:(\d+)", text)[1])
        self.url, self.grpc = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def predict(self, instances, **more):
        """Predictions of V1."""
        body = json.dumps({"instances": instances, **more})
        status, _, answer = self.ask("POST", f"/v1/models/{self.name}:predict", body)
        assert status == 200, answer
        return json.loads(answer)["predictions"]

    @contextlib.contextmanager
    def grpc_infer(self):
        """A context with gRPC's ModelInfer of the server."""
        with grpc.insecure_channel(self.grpc) as channel:
            yield channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                pb.ModelInferRequest.SerializeToString,
                pb.ModelInferResponse.FromString,
            )

    def request(self, pixels, datatype="UINT8"):
        """A request of gRPC for a picture."""
        tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype=datatype, shape=[1, *pixels.shape])
        return pb.ModelInferRequest(model_name=self.name, inputs=[tensor], raw_input_contents=[pixels.tobytes()])

    def number(self, name):
        """A number of /metrics, the sum over all labels where none are named; 0 where it is not there yet."""
        labels = "" if "{" in name else r"(?:\{.*\})?"
        found = re.findall(rf"^{re.escape(name)}{labels} (\S+)$", self.ask("GET", "/metrics")[2].decode(), re.M)
        return sum(map(float, found))

    def listens(self):
        """Whether anything may connect to it."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=60).close()
        except ConnectionRefusedError:
            return False
        return True

    @contextlib.contextmanager
    def sending(self, pixels, part=1.0, header="Accept: */*"):
        """A context in which a request for a picture is sent, or the first part of its body.

        Yields:
            The connection, and the rest of the body.
        """
        body = json.dumps({"instances": [pixels.tolist()]}).encode()
        head = f"POST /v1/models/{self.name}:predict HTTP/1.1\r\nHost: x\r\n{header}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            cut = round(part * len(body))
            connection.sendall(head.encode() + body[:cut])
            yield connection, body[cut:]


def predictions(connection):
    """Reads the predictions of V1 from a connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    assert answer.status == 200, body
    return json.loads(body)["predictions"]


class Process(Address):
    """A process of export.serve."""

    def __init__(self, folder: Path, *more: str):
        self.folder = folder
        flags = (f"--model={folder}", "--port=0", "--grpc_port=0", *more)
        self._process = processes.Process("export.serve", *flags, cwd=REPOSITORY)

    def wait(self):
        """Waits until it says that it serves, and reads where."""
        until(lambda: self.says("Try it") or self.says("\nerror: "))
        assert self.says("Try it"), self.printed()
        super().__init__(self.folder.stem, self.printed())
        return self

    def printed(self):
        """What it has printed until now."""
        return self._process.printed()

    def says(self, words):
        """Whether it has printed these."""
        return words in self.printed()

    def send_signal(self, number):
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def finish(self):
        """Its exit status, when it has ended."""
        return self._process.finish(60)[0]


def beside(folder: Path, story: Callable[[Address], None], **flags) -> str:
    """Runs `story` in a thread beside a server in this process, which SIGTERM ends; returns what the server printed."""

    async def both():
        flags_ = {"grace_s": 1.0, "model": str(folder)} | flags
        given = serve.Flags(grpc_port=0, **flags_)
        workers = Workers(given)
        keepers = keeper.keepers(given, workers)
        listening = run.bound(given.host, 0, "port")
        tls = Tls(given.tls_cert, given.tls_key, given.tls_client_ca) if given.tls_cert else None
        server = asyncio.create_task(run.serve(given, keepers, workers, listening, tls))
        while "Try it" not in printed.getvalue():
            if server.done():
                server.result()
            await asyncio.sleep(0.02)
        try:
            await asyncio.to_thread(story, Address(folder.stem, printed.getvalue()))
        finally:
            if "stopping" not in printed.getvalue():  # by the story
                os.kill(os.getpid(), signal.SIGTERM)
            await server

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        asyncio.run(both())
    return printed.getvalue()
