"""Requests to a server of export.serve, good and bad ones: path, headers and body of a POST; and rude clients."""

import base64
import io
import json
import random
import socket
import struct
import time
import zlib

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
    """Requests that a server has to refuse: no image, half of a picture, bombs of pixels, 30 MB of lists, …"""
    bomb = _encoded(Image.new("1", (10000, 10000)), "PNG")
    contents = [b"not an image"], [picture[: len(picture) // 2]], [bomb], [], *([one] for one in _slow_to_decode())
    zeros = v2([b""])[2] + bytes(20_000_000)
    pixel = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}
    bodies = {
        "no JSON": b"{",
        "lists": b'{"instances": [' + b"[]," * 10_000_000 + b"1]}",
        "lists that are just few enough": b'{"instances": [[' + b"[[]]," * 600_000 + b"1]]}",
        "objects": b'{"instances": [' + b"{}," * 1_000_000 + b"1]}",
        "names": b"{" + b",".join(b'"%d": 1' % i for i in range(500_000)) + b"}",
        "a long name": b'{"' + b"a" * 20_000_000 + b'": 1}',
        "depth": b'{"instances": ' + b"[" * 1_000_000,
        "depth that ends": b'{"instances": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        "a picture without its header": picture,
        "base64 of no image": b'{"instances": [{"b64": "' + b"A" * 20_000_000 + b'"}]}',
        "base64 that is none": b'{"instances": [{"b64": "' + b"A?" * 1_000_000 + b'"}]}',
        "pixels that are just few enough": json.dumps({"instances": [[[[1, 2]] * 1000] * 600]}).encode(),
    }
    path, infer = "/v1/models/soaked:predict", "/v2/models/soaked/infer"
    wrong = [
        {"inputs": [pixel | {"shape": [1, 10**18, 10**18, 3]}]},
        {"inputs": [pixel | {"shape": [1] * 500_000}]},
        {"inputs": [pixel], "outputs": [{"name": "image_size"}] * 500_000},
        {"inputs": [pixel] * 100_000},
        {"inputs": [{**pixel, "data": [1e300, -1, None]}]},
    ]
    return [
        *map(v1, contents),
        *((path, {}, body) for body in bodies.values()),
        *((infer, {}, json.dumps(one).encode()) for one in wrong),
        (infer, {"Inference-Header-Content-Length": "90"}, zeros),
        (infer, {"Inference-Header-Content-Length": "9" * 4000}, zeros[:90]),
        (path, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        (path, {"Content-Length": "5", "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
        (path, {"Content-Length": "40000000"}, b""),
        ("/v1/models/other:predict", {}, b"{}"),
    ]


def _slow_to_decode():
    """Files that would take long: a JPEG of 500 scans, PNG of a million chunks, TIFF and GIF of 1.1 million parts."""
    jpeg = io.BytesIO()
    Image.new("L", (5000, 5000)).save(jpeg, "JPEG", progressive=True)
    start = jpeg.getvalue().rfind(b"\xff\xda")
    head, scan = jpeg.getvalue()[:start], jpeg.getvalue()[start:-2]
    png = _encoded(Image.new("L", (9, 9)), "PNG")
    chunk = struct.pack(">I4sI", 0, b"teSt", zlib.crc32(b"teSt"))
    tags, count = ((256, 9), (257, 9), (258, 8), (259, 1), (262, 1), (277, 1), (278, 1)), 1_100_000
    behind = 10 + 12 * (len(tags) + 2) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    lists = [struct.pack("<HHII", tag, 4, count, at) for tag, at in ((273, behind), (279, behind + 4 * count))]
    entries = b"".join(sorted(entries + lists, key=lambda one: struct.unpack_from("<H", one)))
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags) + 2) + entries + bytes(4) + struct.pack("<I", 9) * 2 * count
    gif = _encoded(Image.new("L", (9, 9)), "GIF")
    comment = b"!\xfe" + b"\x01a" * 1_100_000 + b"\0"
    at = gif.index(b",")
    png, gif = png[:33] + chunk * 1_000_000 + png[33:], gif[:at] + comment + gif[at:]
    return [head + scan * 500 + b"\xff\xd9", png, tiff, gif]


def bad_messages(picture):
    """Messages of gRPC that a server has to refuse: empty, cut off, too large, with contents of other types, …"""
    from export.messages import inference_pb2 as pb

    files = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}
    pixel = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3]}
    tensors = [
        *(
            files | {"contents": contents}
            for contents in ({}, {"uint_contents": [5]}, {"bytes_contents": [b"no image"]})
        ),
        *(pixel | {"contents": {kind: [1, 2, 3]}} for kind in ("int_contents", "fp32_contents", "uint64_contents")),
        *(pixel | {"contents": {"uint_contents": values}} for values in ([1, 2], [1, 2, 300], [1] * 1_000_000)),
        pixel | {"contents": {"bytes_contents": [picture]}},
        *(pixel | {"shape": shape, "contents": {"uint_contents": [1, 2, 3]}} for shape in ([], [-1] * 4, [2**62] * 4)),
        files | {"datatype": "FP32"},
        files | {"name": "x" * 1_000_000},
    ]
    whole = pb.ModelInferRequest(model_name="soaked", inputs=[files], raw_input_contents=[v2([picture])[2][-9000:]])
    requests = [
        *(pb.ModelInferRequest(model_name="soaked", inputs=[one]) for one in tensors),
        *(pb.ModelInferRequest(model_name="soaked", inputs=[files] * count) for count in (0, 2, 9000)),
        pb.ModelInferRequest(model_name="other"),
        whole,
    ]
    return [
        *(one.SerializeToString() for one in requests),
        b"",
        picture,
        whole.SerializeToString()[:-1],
        b"\x2a\x00" * 5_000_000,
        bytes(40_000_000),
    ]


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 of the first call; of kind 4, settings, of the connection."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes([0, 0, 0, kind != 4]) + payload


def _calls(draw: random.Random) -> dict[str, bytes]:
    """What rude clients of gRPC send, and then nothing more."""
    begun = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, b"")
    fields = {
        b":method": b"POST", b":scheme": b"http", b":path": b"/inference.GRPCInferenceService/ModelInfer",
        b":authority": b"x", b"te": b"trailers", b"content-type": b"application/grpc",
    }  # fmt: skip
    literal = b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields.items())
    call, part = begun + _frame(1, 4, literal), b"\0" + (5000).to_bytes(4, "big") + b"x" * 100  # of a message of 5,000
    return {
        "no gRPC": begun + draw.randbytes(10_000),
        "no call": begun,
        "a call that stalls": call,
        "a call without a message": call + _frame(0, 1, b""),
        "half of a head": call[:-20],
        "half of a frame": call + _frame(0, 0, part)[:-50],
        "half of a message": call + _frame(0, 0, part),
        "a message that ends too early": call + _frame(0, 1, part),
        "a message of 4 GB": call + _frame(0, 0, b"\0\xff\xff\xff\xff" + part),
    }


def rude(port, draw: random.Random, seconds: float, grpc_port: int = -1) -> None:
    """A client that sends no HTTP, half of a request or two in one, is slow, does not read, or leaves.

    With a port of gRPC, one in three does such things there.
    """
    head = b"POST /v1/models/soaked:predict HTTP/1.1\r\nHost: x\r\n"
    in_chunks = b"Transfer-Encoding: chunked\r\n\r\n"
    hidden = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = {
        "no HTTP": draw.randbytes(100_000),
        "a long head": head + b"X: " + b"a" * 200_000,
        "many headers": head + b"".join(b"X%d: a\r\n" % i for i in range(20_000)),
        "two lengths": head + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
        "two different lengths": head + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n" + hidden,
        "a length with a sign": head + b"Content-Length: +4\r\n\r\n" + hidden,
        "an odd coding": head + b"Transfer-Encoding: chunked, identity\r\n\r\n" + hidden,
        "a bad chunk after a refusal": head + b"Content-Encoding: x\r\n" + in_chunks + b"2\r\nab\r\nZ\r\n",
        "tiny chunks": head + in_chunks + b"1\r\na\r\n" * 1_000_000,
        "an upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "an odd Accept": b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=x\r\n\r\n",
        "silent": b"",
        "gone": head + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000,
        "a body that nobody awaits": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000,
    }
    if grpc_port >= 0 and draw.random() < 1 / 3:
        port, sent = grpc_port, _calls(draw)
        kind = draw.choice([*sent])
    else:
        kind = draw.choice(["slow", "deaf", *sent])
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            if kind == "slow":
                connection.sendall(head + b"Content-Length: 1000000\r\n\r\n")
                for _ in range(round(seconds * 10)):
                    connection.sendall(b"x" * 500)
                    time.sleep(0.1)
            elif kind == "deaf":
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
                time.sleep(seconds)
            else:
                connection.sendall(sent[kind])
                while connection.recv(65536):  # until the server closes, or is silent for so long
                    pass
        except OSError:  # The server has closed the connection or waits, as it may.
            pass
