"""A Chromium without windows, driven by its DevTools protocol."""

import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import websockets.sync.client

from tests.processes import until as come

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A tab of a browser, driven by its DevTools protocol."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, itertools.count()
        self.events = []  # what came between answers, once their domain is enabled

    def call(self, method, **parameters):
        """Result of a method of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        """Value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url, until="true"):
        """Opens a page, and waits until it is complete, and for a condition of JavaScript."""
        self.call("Page.navigate", url=url)
        come(lambda: self.value(f"document.readyState == 'complete' && ({until})"), seconds=30)

    def resize(self, width, height=900, **media):
        """Sets the size of the window in pixels, and media features by name, such as prefers_color_scheme="dark"."""
        sides = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **sides)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)


@contextlib.contextmanager
def browser(*flags, tab=Browser):
    """A tab of a Chromium without windows, a `Browser` or a class of more."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             f"--user-data-dir={folder}", *flags, "about:blank"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = Path(folder) / "DevToolsActivePort"
            come(lambda: port.is_file() and port.read_text().count("\n"), seconds=60)
            with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
                (address,) = [one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page"]
            with websockets.sync.client.connect(address, max_size=None) as socket:
                yield tab(socket)
        finally:
            process.terminate()
            process.wait(60)
