"""Requests to a server of export.serve, good and bad ones, and a connection to send them by."""

import base64
import http.client
import io
import json
import struct

import numpy as np
from PIL import Image

SIZES = ((28, 28), (64, 96), (120, 90), (160, 120), (128, 128), (200, 150), (240, 320), (97, 251))
PICTURES_OF_A_SIZE = 6


def pictures(folder, seed=0):
    """Encoded pictures: of photos cut out of the files in a folder, or of coloured boxes on noise."""
    random_ = np.random.default_rng(seed)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png")) if folder else []
    encoded = []
    for height, width in SIZES:
        for number in range(PICTURES_OF_A_SIZE):
            if files:
                with Image.open(files[len(encoded) % len(files)]) as photo:
                    picture = photo.convert("RGB").resize((width, height))
            else:
                pixels = random_.integers(60, 120, [height, width, 3], np.uint8)
                y, x = random_.integers(0, height // 2), random_.integers(0, width // 2)
                pixels[y : y + height // 3, x : x + width // 3] = random_.integers(0, 255, 3)
                picture = Image.fromarray(pixels)
            file = io.BytesIO()
            picture.save(file, "PNG" if number % 2 else "JPEG", quality=90)
            encoded.append(file.getvalue())
    return encoded


def bomb():
    """A PNG of 100 megapixels in some 12 kB."""
    file = io.BytesIO()
    Image.new("1", (10000, 10000)).save(file, "PNG")
    return file.getvalue()


def v1(contents):
    """Path, headers and body of a request of V1."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(one).decode()} for one in contents]})
    return "/v1/models/soaked:predict", {}, body.encode()


def v2(contents):
    """The same of V2, whose tensor lies behind the JSON."""
    raw = b"".join(struct.pack("<I", len(one)) + one for one in contents)
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [len(contents)]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    return "/v2/models/soaked/infer", {"Inference-Header-Content-Length": str(len(head))}, head + raw


class Connection:
    """A connection that stays open as long as the server lets it."""

    def __init__(self, port):
        self._port, self._open = port, None

    def ask(self, path, headers, body):
        """Status and body of the answer to a POST."""
        if self._open is None:
            self._open = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        self._open.request("POST", path, body, headers)
        answer = self._open.getresponse()
        content = answer.read()
        if answer.will_close:
            self.close()
        return answer.status, content

    def close(self):
        """Closes it; the next request opens another."""
        if self._open:
            self._open.close()
        self._open = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
