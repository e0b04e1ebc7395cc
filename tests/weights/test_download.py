"""Downloads from a real server on this machine."""

import concurrent.futures
import errno
import hashlib
import http.client
import http.server
import threading
import time

import numpy as np
import pytest

from tfrecog.cli.errors import Status
from tfrecog.weights.formats import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file: /ranges/ with support of Range, /whole/ without, /short/ breaks off in the middle.

    /other/ sends all of it where a part was asked for, and calls it a part; /slow/ waits, and then sends other bytes.
    """

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        kind, name = self.path.strip("/").split("/")
        if name == "gone.pth":
            self.send_error(404)
            return
        asked = self.headers["Range"]
        start = int(asked[6:-1]) if kind == "ranges" and asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        part = start or (kind == "other" and asked)
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if kind == "slow":
            time.sleep(0.5)
            self.wfile.write(bytes(len(CONTENT)))
        else:
            self.wfile.write(CONTENT[start : 1_500_000 if kind == "short" else None])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def address(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TFRECOG_CACHE", str(tmp_path / "cache"))
    server.asked.clear()
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_a_file_is_downloaded_once(server, address, cache):
    first = download.fetch(f"{address}/ranges/a.pth", SHA256[:8])
    assert first == cache / "a.pth" and first.read_bytes() == CONTENT
    assert download.fetch(f"{address}/ranges/a.pth", SHA256[:8]) == first
    assert len(server.asked) == 1
    assert [path.name for path in cache.iterdir()] == ["a.pth"]


@pytest.mark.parametrize(("kind", "asked"), [("ranges", "bytes=1500000-"), ("whole", "bytes=1500000-")])
def test_a_download_that_broke_off_goes_on(server, address, cache, kind, asked):
    with pytest.raises(download.CutOff, match=r"stopped after 1,500,000 of 3,000,000") as caught:
        download.fetch(f"{address}/short/a.pth", SHA256[:8])
    assert caught.value.status == Status.CONTINUES
    assert not (cache / "a.pth").exists()
    assert download.fetch(f"{address}/{kind}/a.pth", SHA256[:8]).read_bytes() == CONTENT
    assert server.asked[-1] == (f"/{kind}/a.pth", asked)


def test_another_part_than_was_asked_for_is_not_added(server, address, cache):
    with pytest.raises(download.DownloadError, match="stopped after"):
        download.fetch(f"{address}/short/a.pth", SHA256[:8])
    assert download.fetch(f"{address}/other/a.pth", SHA256[:8]).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1500000-", None]


def test_a_part_that_is_already_whole_is_taken(address, cache):
    cache.mkdir()
    (cache / "a.pth.part").write_bytes(CONTENT)
    assert download.fetch(f"{address}/ranges/a.pth", SHA256).read_bytes() == CONTENT


def test_another_file_than_the_hash_says_is_deleted(address, cache):
    with pytest.raises(download.DownloadError, match=r"should have 00000000…; it is deleted.*--weights=FILE"):
        download.fetch(f"{address}/ranges/a.pth", "00000000")
    with pytest.raises(download.DownloadError, match="a file with the MD5"):
        download.fetch(f"{address}/ranges/a.pth", SHA256[:6], "md5")
    assert not list(cache.iterdir())
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert download.fetch(f"{address}/ranges/a.pth", md5[:6], "md5").read_bytes() == CONTENT


def test_a_cached_file_that_was_changed_is_deleted(address, cache):
    path = download.fetch(f"{address}/ranges/a.pth", SHA256[:8])
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(download.DownloadError, match="deleted"):
        download.fetch(f"{address}/ranges/a.pth", SHA256[:8])
    assert download.fetch(f"{address}/ranges/a.pth", SHA256[:8]).read_bytes() == CONTENT


def test_a_missing_file_and_a_missing_network_say_what_to_do(address, cache):
    by_hand = f"in a browser, put the file at {cache}/gone.pth.*--weights=FILE"
    with pytest.raises(download.DownloadError, match=rf"404 Not Found.*{by_hand}"):
        download.fetch(f"{address}/ranges/gone.pth", SHA256)
    with pytest.raises(download.DownloadError, match=rf"no network\?.*{by_hand}"):
        download.fetch("http://127.0.0.1:9/gone.pth", SHA256)  # The discard port, where nobody listens.


def test_a_network_that_goes_away_is_not_told_as_a_full_disk(address, cache, monkeypatch):
    def fail(*_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(http.client.HTTPResponse, "read", fail)
    with pytest.raises(download.DownloadError, match=r"\(.*No route to host\): no network\?"):
        download.fetch(f"{address}/ranges/a.pth", SHA256)


@pytest.mark.parametrize(("kind", "requests"), [("ranges", 1), ("slow", 2)])
def test_of_two_at_once_one_downloads_and_who_waited_for_a_wrong_file_is_told_too(
    kind, requests, server, address, cache
):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [pool.submit(download.fetch, f"{address}/{kind}/a.pth", SHA256) for _ in range(2)]
    for one in both:
        if kind == "ranges":
            assert one.result().read_bytes() == CONTENT
        else:
            with pytest.raises(download.DownloadError, match="it is deleted"):
                one.result()
    assert len(server.asked) == requests and len(list(cache.iterdir())) == 2 - requests


def test_a_cache_that_is_no_folder_says_what_to_do(address, cache):
    cache.touch()
    with pytest.raises(download.DownloadError, match=rf"cannot write to the cache {cache} .*TFRECOG_CACHE"):
        download.fetch(f"{address}/ranges/a.pth", SHA256)
