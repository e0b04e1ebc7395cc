"""TLS of both ports: the server's certificate and key, and whose clients it lets in."""

import ssl
from pathlib import Path
from typing import NamedTuple

import grpc

from tfrecog.cli.errors import UserError


class Tls(NamedTuple):
    """Files in PEM: certificate and key of the server, and the authority whose certificates clients have, or ""."""

    cert: str
    key: str
    client_ca: str = ""

    def context(self) -> ssl.SSLContext:
        """That of REST; UserError if the files are not there, or do not fit each other."""
        for flag, path in (("tls_cert", self.cert), ("tls_key", self.key), ("tls_client_ca", self.client_ca)):
            if path and not Path(path).is_file():
                raise UserError(f"--{flag}={path}: there is no such file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise UserError(
                f"--tls_cert={self.cert} and --tls_key={self.key} are no certificate and its key without a password in "
                f"PEM ({_reason(error)})"
            ) from error
        if self.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise UserError(
                    f"--tls_client_ca={self.client_ca} holds no certificate in PEM ({_reason(error)})"
                ) from error
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """Those of gRPC."""
        pair = Path(self.key).read_bytes(), Path(self.cert).read_bytes()
        authority = Path(self.client_ca).read_bytes() if self.client_ca else None
        return grpc.ssl_server_credentials([pair], authority, require_client_auth=bool(authority))


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
