"""Serves a folder of export.saved_model, or a TFLite file, over REST and gRPC.

python -m export.serve --model=DIR --port=8080
"""

import asyncio
import dataclasses
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import NonNegative, Positive, Range
from tfrecog.runtime import heap


@dataclasses.dataclass(frozen=True)
class Flags:
    """Flags of the server."""

    model: Annotated[
        str, "Folder that export.saved_model wrote, or a TFLite file, which needs no TensorFlow; several with commas."
    ] = ""
    name: Annotated[str, "Name of the model in addresses; of several with commas. Empty: that of the folder."] = ""
    versions: Annotated[
        str, "Versions that are served. latest:N: the newest N. Numbers, as 3,4: those. Versions with a label are, too."
    ] = "latest:1"
    watch: Annotated[
        bool, "Take up new versions in the folder while the server runs, and let go those that are not wanted any more."
    ] = False
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
    trusted_proxies: Annotated[
        str,
        "Addresses or networks of proxies, with commas: X-Forwarded-For tells their clients apart, whose slow uploads "
        "are counted. Empty: none.",
    ] = ""
    tls_cert: Annotated[str, "Certificate of the server, in PEM: both ports speak TLS alone. Empty: no TLS."] = ""
    tls_key: Annotated[str, "Key of --tls_cert, in PEM, without a password."] = ""
    tls_client_ca: Annotated[
        str, "Certificates in PEM of an authority: only clients with a certificate of it are let in. Empty: all."
    ] = ""
    threads: Annotated[int, "Threads that decode pictures. 0: one for each core.", NonNegative("threads")] = 0
    grace_s: Annotated[float, "How long requests may take to finish after SIGTERM.", Positive("seconds")] = 30.0

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.port and self.port == self.grpc_port:
            yield "grpc_port", "is the port of REST as well (--port); each needs its own"
        if bool(self.tls_cert) != bool(self.tls_key):
            yield "tls_key" if self.tls_cert else "tls_cert", "is empty; TLS needs both --tls_cert and --tls_key"
        if self.tls_client_ca and not self.tls_cert:
            yield "tls_client_ca", "needs TLS: --tls_cert and --tls_key"
        for network in filter(None, self.trusted_proxies.split(",")):
            try:
                ipaddress.ip_network(network.strip())
            except ValueError as error:
                yield "trusted_proxies", f"{error}; name addresses, as in 127.0.0.1,10.0.0.0/8"


def main(flags: Flags) -> None:
    """Serves until a signal comes."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # Else it logs each client whose TLS fails.
    from .server import engines, keeper, run
    from .server.tls import Tls
    from .server.workers import Workers

    if not flags.host:  # It would mean every network.
        raise UserError("--host: name an address, as 127.0.0.1 (this machine alone) or 0.0.0.0 (all networks)")
    if all(Path(model).suffix == engines.LITE for model in flags.model.split(",")):
        heap.return_freed()
    workers = Workers(flags)
    keepers = keeper.keepers(flags, workers)
    encrypted = Tls(flags.tls_cert, flags.tls_key, flags.tls_client_ca) if flags.tls_cert else None
    if encrypted:
        encrypted.context()
    listening = run.bound(flags.host, flags.port, "port")
    print(f"Loading {flags.model} ...", flush=True)
    asyncio.run(run.serve(flags, keepers, workers, listening, encrypted))


if __name__ == "__main__":
    command.run(main, Flags(), required=("model",))
