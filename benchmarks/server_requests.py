"""Requests to a server of export.serve, good and bad ones: path, headers and body of a POST."""

import base64
import io
import json
import struct

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
    """Requests that a server has to refuse: no image, half of a picture, 100 megapixels in 12 kB, none, no JSON."""
    bomb = _encoded(Image.new("1", (10000, 10000)), "PNG")
    contents = [b"not an image"], [picture[: len(picture) // 2]], [bomb], []
    return [*map(v1, contents), ("/v1/models/soaked:predict", {}, b"{")]
