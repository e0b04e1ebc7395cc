"""Pictures inside a page: small JPEGs as data addresses, of a bounded number."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tfrecog.drawing import contact_sheet

SIDE = 560  # pixels of the longer side: some 50 kB of a photograph
QUALITIES, BYTES = (80, 60, 40, 20), 100_000  # the first JPEG that is not larger, or else the last: noise is large
MOST = 8  # of the worst images, and of those that are chosen at random


def address(picture: np.ndarray, side: int = SIDE) -> str:
    """A picture uint8 [H, W, 3] as a JPEG in a data address, smaller or a whole factor larger to fit."""
    fitted, encoded = contact_sheet.fitted(Image.fromarray(picture), side), b""
    for quality in QUALITIES:
        file = io.BytesIO()
        fitted.save(file, "JPEG", quality=quality)
        encoded = file.getvalue()
        if len(encoded) <= BYTES:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"


def at_random(count: int, without: Sequence[int] = (), most: int = MOST) -> list[int]:
    """Places in 0..count - 1 of some images, in random order; the same for the same count."""
    order = np.random.default_rng(0).permutation(count).tolist()
    taken = {*without}
    return [place for place in order if place not in taken][:most]
