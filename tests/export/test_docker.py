"""docker/: the proxy's configuration, run by nginx itself where it is installed, and what the other files name."""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess

import pytest
import yaml

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import grpc
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from export.serve import Flags
from tests.export import browsers, served_folders, servers
from tests.folders import REPOSITORY
from tfrecog.cli import flags

DOCKER = REPOSITORY / "docker"
# Debian has it where the path of ordinary users does not lead.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
OPENSSL = shutil.which("openssl")
TOKEN = "a0" * 32
MAIN = """
daemon off; error_log stderr; pid {folder}/nginx.pid; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/proxy.conf;
}}
"""


@contextlib.contextmanager
def proxy(folder, server):
    """The port of nginx as docker/ configures it, before a server of this machine, while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (DOCKER / "nginx.conf.template").read_text()
    for name, value in {
        "${TFRECOG_TOKEN}": TOKEN,
        "server:8080": f"127.0.0.1:{server.port}",
        "server:8081": server.grpc,
        "listen 8443": f"listen 127.0.0.1:{port}",
        "/etc/nginx/tls": str(folder),
    }.items():
        assert name in text
        text = text.replace(name, value)
    (folder / "proxy.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    compose = (DOCKER / "compose.yaml").read_text()
    certificate = re.search(r"#   (openssl req .+)", compose)[1].replace("docker/tls", str(folder))
    subprocess.run([*certificate.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    process = subprocess.Popen([NGINX, "-e", "stderr", "-c", str(folder / "nginx.conf")], stderr=subprocess.PIPE)
    try:
        servers.until(lambda: process.poll() is not None or _listens(port), seconds=20)
        assert process.poll() is None, process.stderr.read().decode()
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="nginx and openssl are not installed")
def test_the_proxy_lets_in_whoever_has_the_token_over_tls_alone(tmp_path):
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    pixels = served_folders.picture(8, 8)
    body = json.dumps({"instances": [{"b64": base64.b64encode(served_folders.encoded(pixels)).decode()}]})

    def story(server):
        with proxy(tmp_path, server) as port:
            certificate = (tmp_path / "cert.pem").read_bytes()

            def ask(method, path, body=None, token=None):
                trusted = ssl.create_default_context(cadata=certificate.decode())
                connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=trusted)
                connection.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
                answer = connection.getresponse()
                return answer.status, answer.read()

            predict = "/v1/models/colours:predict"
            for token in (None, "guess", TOKEN + "0", TOKEN.upper(), f"{TOKEN} "[:-2]):
                status, answer = ask("POST", predict, body, token)
                assert status == 401 and "Authorization: Bearer" in json.loads(answer)["error"]
            status, answer = ask("POST", predict, body, TOKEN)
            assert status == 200 and json.loads(answer)["predictions"] == server.predict(json.loads(body)["instances"])
            assert ask("GET", "/metrics", token=TOKEN)[0] == 404
            assert ask("GET", "/v2/health/ready", token=TOKEN)[0] == 200
            status, answer = ask("POST", predict, b"0" * (33 << 20), TOKEN)
            assert status == 413 and "more than 32 MB" in json.loads(answer)["error"]

            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b"400 Bad Request" in plain.recv(4096)

            secure = grpc.ssl_channel_credentials(certificate)
            with grpc.secure_channel(f"localhost:{port}", secure) as channel:
                infer = GRPCInferenceServiceStub(channel).ModelInfer
                request = server.request(pixels)
                with pytest.raises(grpc.RpcError) as refused:
                    infer(request)
                assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
                with server.grpc_infer() as direct:
                    answer = infer(request, metadata=[("authorization", f"Bearer {TOKEN}")])
                    assert answer.raw_output_contents == direct(request).raw_output_contents

    servers.beside(tmp_path / "colours", story, trusted_proxies="127.0.0.1")


@pytest.mark.skipif(
    None in (NGINX, OPENSSL, browsers.CHROMIUM), reason="nginx, openssl and Chromium are not all installed"
)
def test_the_page_asks_for_the_token_until_it_has_it(tmp_path):
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    red = served_folders.encoded(served_folders.picture(20, 20, (0, 0, 20, 20)))

    def use(tab, token):
        tab.value(f"$('problem').textContent = ''; $('token').value = {token!r}; $('login').requestSubmit()")
        servers.until(lambda: tab.value("!!about || !!$('problem').textContent"), seconds=30)

    def story(server):
        with proxy(tmp_path, server) as port, browsers.browser("--ignore-certificate-errors") as tab:
            tab.open(f"https://localhost:{port}/", until="!$('login').hidden")
            assert tab.value("$('drop').hidden && $('lines').hidden && !about && !$('problem').textContent")
            use(tab, "guess")
            assert "has another token" in tab.value("$('problem').textContent") and not tab.value("$('login').hidden")
            use(tab, f" {TOKEN} ")  # as it is pasted
            assert tab.value("$('login').hidden && !$('drop').hidden && $('title').textContent") == "colours"
            assert not tab.value("$('problem').textContent")
            tab.drop(red)
            assert tab.rows()[0].startswith("red\t") and not tab.value("$('no_camera').checkVisibility()")
            for lines in ("curl", "python"):  # which are for others to see
                text = tab.value(f"$('{lines}').textContent")
                assert "Bearer TOKEN" in text and TOKEN not in text and f"https://localhost:{port}/v1" in text
            tab.open(f"https://localhost:{port}/")  # It is kept as long as the tab.
            assert tab.value("$('login').hidden")

    servers.beside(tmp_path / "colours", story, trusted_proxies="127.0.0.1")


def test_compose_starts_the_server_with_flags_that_it_has():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    server, proxy = compose["services"]["server"], compose["services"]["proxy"]
    entry = json.loads(re.search(r"^ENTRYPOINT (.+)", (DOCKER / "Dockerfile").read_text(), re.M)[1])
    assert entry[:2] == ["tfrecog", "serve"]
    given = flags.change(Flags(), [*entry[2:], *server["command"]])
    (subnet,) = compose["networks"]["inside"]["ipam"]["config"]
    assert given.host == "0.0.0.0" and given.trusted_proxies == subnet["subnet"]
    assert "ports" not in server and set(server["networks"]) == {"inside"}
    assert compose["networks"]["inside"]["internal"]
    assert (DOCKER / proxy["volumes"][0].split(":")[0]).is_file()
    assert f"client_max_body_size   {given.max_request_mb:.0f}m;" in (DOCKER / "nginx.conf.template").read_text()
    assert float(server["stop_grace_period"].rstrip("s")) > given.grace_s


def test_the_image_is_made_of_what_is_there():
    kept = re.findall(r"^!(.+)", (DOCKER / "Dockerfile.dockerignore").read_text(), re.M)
    copied = re.findall(r"^COPY (.+)", (DOCKER / "Dockerfile").read_text(), re.M)
    assert sorted(name for line in copied for name in line.split()[:-1]) == sorted(kept)
    assert all((REPOSITORY / name).exists() for name in kept)
