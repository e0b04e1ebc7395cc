"""Requests to a server of export.serve, good and bad ones: path, headers and body of a POST; and rude clients."""

import base64
import io
import json
import random
import socket
import struct
import time

import numpy as np
from PIL import Image

SIZES = ((28, 28), (64, 96), (120, 90), (160, 120), (128, 128), (200, 150), (240, 320), (97, 251))
PICTURES_OF_A_SIZE = 6


def pictures(folder, seed=0):
    """Encoded pictures: of photos cut out of the files in a folder, or of coloured boxes on noise."""
    random = np.random.default_rng(seed)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png")) if folder else []
    encoded = []
    for height, width in SIZES:
        for number in range(PICTURES_OF_A_SIZE):
            if files:
                with Image.open(files[len(encoded) % len(files)]) as photo:
                    picture = photo.convert("RGB").resize((width, height))
            else:
                pixels = random.integers(60, 120, [height, width, 3], np.uint8)
                y, x = random.integers(0, height // 2), random.integers(0, width // 2)
                pixels[y : y + height // 3, x : x + width // 3] = random.integers(0, 255, 3)
                picture = Image.fromarray(pixels)
            encoded.append(_encoded(picture, "PNG" if number % 2 else "JPEG"))
    return encoded


def _encoded(picture, form):
    file = io.BytesIO()
    picture.save(file, form, quality=90)
    return file.getvalue()


def v1(contents):
    """A request of V1."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(one).decode()} for one in contents]})
    return "/v1/models/soaked:predict", {}, body.encode()


def v2(contents):
    """The same of V2, whose tensor lies behind the JSON."""
    raw = b"".join(struct.pack("<I", len(one)) + one for one in contents)
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [len(contents)]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    return "/v2/models/soaked/infer", {"Inference-Header-Content-Length": str(len(head))}, head + raw


def bad(picture):
    """Requests that a server has to refuse: no image, half of a picture, 100 megapixels in 12 kB, 30 MB of lists, …"""
    bomb = _encoded(Image.new("1", (10000, 10000)), "PNG")
    contents = [b"not an image"], [picture[: len(picture) // 2]], [bomb], []
    zeros = v2([b""])[2] + bytes(20_000_000)
    bodies = {
        "no JSON": b"{",
        "lists": b'{"instances": [' + b"[]," * 10_000_000 + b"1]}",
        "lists that are just few enough": b'{"instances": [[' + b"[[]]," * 600_000 + b"1]]}",
        "objects": b'{"instances": [' + b"{}," * 1_000_000 + b"1]}",
        "names": b"{" + b",".join(b'"%d": 1' % i for i in range(500_000)) + b"}",
        "a long name": b'{"' + b"a" * 20_000_000 + b'": 1}',
        "depth": b'{"instances": ' + b"[" * 1_000_000,
        "a picture without its header": picture,
        "base64 of no image": b'{"instances": [{"b64": "' + b"A" * 20_000_000 + b'"}]}',
        "pixels that are just few enough": json.dumps({"instances": [[[[1, 2]] * 1000] * 600]}).encode(),
    }
    path = "/v1/models/soaked:predict"
    return [
        *map(v1, contents),
        *((path, {}, body) for body in bodies.values()),
        ("/v2/models/soaked/infer", {"Inference-Header-Content-Length": "90"}, zeros),
        (path, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        (path, {"Content-Length": "5", "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
        ("/v1/models/other:predict", {}, b"{}"),
    ]


def rude(port, draw: random.Random, seconds: float) -> None:
    """A client that sends a body slowly, or in tiny chunks, does not read responses, or leaves, for some seconds."""
    head = b"POST /v1/models/soaked:predict HTTP/1.1\r\nHost: x\r\n"
    kind = draw.choice(["slow", "chunks", "silent", "deaf", "no HTTP", "gone"])
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            if kind == "slow":
                connection.sendall(head + b"Content-Length: 1000000\r\n\r\n")
                for _ in range(round(seconds * 10)):
                    connection.sendall(b"x" * 500)
                    time.sleep(0.1)
            elif kind == "chunks":
                connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 1_000_000)
            elif kind == "silent":
                time.sleep(seconds)
            elif kind == "deaf":
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
                time.sleep(seconds)
            elif kind == "no HTTP":
                connection.sendall(draw.randbytes(100_000))
            else:
                connection.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        except OSError:  # The server has closed the connection or waits, as it may.
            pass
