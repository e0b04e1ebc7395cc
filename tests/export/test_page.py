"""The server's page in a headless Chromium, with pictures that are given to it as a person gives them."""

import base64
import contextlib
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest
import websockets.sync.client
from PIL import Image

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import tensorflow as tf

from export.server import rest_api
from tests.export import served_folders, servers
from tfrecog.drawing import annotations

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A tab of a browser, driven by its DevTools protocol."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, itertools.count()

    def call(self, method, **parameters):
        """Result of a method of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                return answer["result"]

    def value(self, expression):
        """Value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url):
        """Opens a page, and waits until it knows the model."""
        self.call("Page.navigate", url=url)
        servers.until(lambda: self.value("document.readyState == 'complete' && !!about"), seconds=30)

    def drop(self, content: bytes, kind="image/png"):
        """Drops a file on the page, and waits for the answer or the problem."""
        encoded = base64.b64encode(content).decode()
        self.value(
            f"""(() => {{
                const bytes = Uint8Array.from(atob({encoded!r}), c => c.charCodeAt(0)), given = new DataTransfer();
                given.items.add(new File([bytes], "a picture", {{type: {kind!r}}}));
                shown = null;
                document.dispatchEvent(new DragEvent("drop", {{dataTransfer: given, cancelable: true}}));
            }})()"""
        )
        servers.until(lambda: self.value("!!shown || !!$('problem').textContent"), seconds=30)

    def rows(self):
        """Texts of the table."""
        return self.value("[...document.querySelectorAll('#list tr')].slice(1).map(row => row.innerText)")

    def pixel(self, y, x):
        """RGB of the drawing at a pixel of the picture."""
        factor = "$('canvas').width / shown.answer.image_size[1]"
        drawn = f"$('canvas').getContext('2d').getImageData({x} * {factor}, {y} * {factor}, 1, 1)"
        return self.value(f"[...{drawn}.data].slice(0, 3)")


@contextlib.contextmanager
def browser(*flags):
    """A tab of a Chromium without windows, with a camera of its own that films a pattern."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--user-data-dir={folder}",
             *flags, "about:blank"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = Path(folder) / "DevToolsActivePort"
            servers.until(lambda: port.is_file() and port.read_text().count("\n"), seconds=60)
            with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
                (address,) = [tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page"]
            with websockets.sync.client.connect(address, max_size=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            process.wait(60)


class Halves(tf.Module):
    """A segmenter: the left half is "red", the right one "blue"."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def image_tensor(self, image):
        shape = tf.shape(image)
        column = tf.where(tf.range(shape[2]) * 2 < shape[2], 1, 3)
        return {
            "labels": tf.cast(tf.broadcast_to(column, shape[:3]), tf.uint8),
            "image_size": tf.repeat(shape[None, 1:3], shape[0], axis=0),
        }


def test_a_browser_gets_the_page_and_other_clients_the_state(tmp_path):
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")

    def story(server):
        for accept, kind in (("text/html,*/*;q=0.8", "text/html; charset=utf-8"), ("*/*", "application/json")):
            status, headers, body = server.ask("GET", "/", headers={"Accept": accept})
            assert status == 200 and headers["content-type"] == kind
            assert body.startswith(b"<!DOCTYPE html>") == (kind != "application/json")
            assert ("default-src 'none'" in headers.get("content-security-policy", "")) == (kind != "application/json")

    servers.beside(tmp_path / "colours", story)


def test_the_page_draws_the_keypoints_that_predict_draws():
    page = Path(rest_api.__file__).with_name("page.html").read_text()
    assert float(re.search(r"MIN_KEYPOINT_SCORE = (\S+);", page)[1]) == annotations.MIN_KEYPOINT_SCORE
    assert not re.search(r"innerHTML|https?://(?!127)", page)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_person_sees_what_the_model_sees(tmp_path):
    served_folders.write(
        tmp_path / "finder", served_folders.RedFinder(), "detection",
        keypoints=["tip", "foot"], skeleton=[[0, 1]],
    )  # fmt: skip
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    served_folders.write(tmp_path / "halves", Halves(), "segmentation")
    box = (20, 30, 80, 60)
    scene = served_folders.picture(100, 120, box)

    with browser() as tab:

        def detector(server):
            tab.open(server.url)
            assert tab.value("$('title').textContent") == "finder"
            tab.drop(served_folders.encoded(scene))
            assert tab.rows() == ["green\t75.0 %"]
            assert tab.value("shown.answer.detection_boxes") == [list(map(float, box))]
            ground = list(map(int, scene[5, 5]))
            inside, outside = tab.pixel(60, 50), tab.pixel(90, 100)
            assert outside == ground and inside != list(map(int, scene[60, 50]))
            tab.value("$('threshold').value = 0.9; $('threshold').oninput()")
            assert tab.rows() == [] and tab.pixel(60, 50) == list(map(int, scene[60, 50]))
            tab.value("$('threshold').value = 0.5; $('threshold').oninput()")
            assert tab.rows() == ["green\t75.0 %"]

            exif = Image.Exif()
            exif[0x112] = 6  # a quarter turn to the right
            turned = served_folders.encoded(scene, "JPEG", quality=100, exif=exif)
            tab.drop(turned, "image/jpeg")
            assert tab.value("[$('canvas').width, $('canvas').height]") == [400, 480]
            ((y1, x1, y2, x2),) = tab.value("shown.answer.detection_boxes")
            assert abs(y1 - 30) < 2 and abs(x1 - 20) < 2 and abs(y2 - 60) < 2 and abs(x2 - 80) < 2
            drawn = tab.pixel(45, 50)
            assert max(abs(a - b) for a, b in zip(drawn, inside, strict=True)) < 30

            tab.drop(b"no picture")
            assert "image" in tab.value("$('problem').textContent")
            assert tab.rows() == [] and tab.value("$('canvas').width") == 0

            (tmp_path / "photo.jpg").write_bytes(served_folders.encoded(scene, "JPEG"))
            commands = [[sys.executable, "-c", tab.value("$('python').textContent")]]
            commands += [shlex.split(tab.value("$('curl').textContent"))] if shutil.which("curl") else []
            for command in commands:
                done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
                assert "green" in done.stdout

            tab.value("$('camera').click()")
            servers.until(lambda: tab.value("!!stream && !!shown"), seconds=30)
            tab.value("$('camera').click()")
            assert tab.value("stream") is None

        servers.beside(tmp_path / "finder", detector)

        def classifier(server):
            tab.open(server.url)
            tab.drop(served_folders.encoded(served_folders.picture(20, 20, (0, 0, 20, 20))))
            assert tab.rows()[0].startswith("red\t") and len(tab.rows()) == 3

        servers.beside(tmp_path / "colours", classifier)

        def segmenter(server):
            tab.open(server.url)
            tab.drop(served_folders.encoded(scene))
            assert sorted(tab.rows()) == ["blue\t50.0 %", "red\t50.0 %"]
            assert tab.pixel(2, 2) == tab.pixel(98, 59) != tab.pixel(2, 60)

        servers.beside(tmp_path / "halves", segmenter)
