"""A Chromium without windows, driven by its DevTools protocol."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import websockets.sync.client

from tests.export import servers

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

    def open(self, url, until="!!about"):
        """Opens a page, and waits until it knows the model, or for another condition of JavaScript."""
        self.call("Page.navigate", url=url)
        servers.until(lambda: self.value(f"document.readyState == 'complete' && ({until})"), seconds=30)

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
