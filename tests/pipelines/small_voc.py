"""A small folder in the format of Pascal VOC whose contents are known by construction."""

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60
TAGS = ("name", "pose", "truncated", "difficult")


def element(name, value):
    return "" if value is None else f"<{name}>{value}</{name}>"


def an_object(name="cat", box=(11, 21, 20, 30), more="", **marks):
    """An <object> with the box (ymin, xmin, ymax, xmax) of the file; the default spans [10, 20, 20, 30]."""
    sides = dict(zip(("ymin", "xmin", "ymax", "xmax"), box or (), strict=False))
    box = (
        "<bndbox>" + "".join(element(side, sides.get(side)) for side in ("xmin", "ymin", "xmax", "ymax")) + "</bndbox>"
    )
    tags = {"name": name, "pose": "Left", "truncated": 0, "difficult": 0} | marks
    return f"<object>{''.join(element(tag, tags[tag]) for tag in TAGS)}{box if sides else ''}{more}</object>"


class SmallVoc:
    """Images 1.png and 2.png of 40 x 60 with a cat each, which may be changed before `write`."""

    def __init__(self, folder):
        self.folder, self.images, self.annotations = folder, folder / "JPEGImages", folder / "Annotations"
        for path in (self.images, self.annotations):
            path.mkdir(parents=True)
        self.objects = {"1": [an_object()], "2": [an_object()]}
        self.sizes = dict.fromkeys(self.objects, (HEIGHT, WIDTH))
        self.filenames = {}
        for number, name in enumerate(self.objects):
            pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(pixels).save(self.images / f"{name}.png")

    def write(self):
        for name, those in self.objects.items():
            height, width = self.sizes[name] or (None, None)
            size = element("size", element("width", width) + element("height", height)) if self.sizes[name] else ""
            body = element("filename", self.filenames.get(name, f"{name}.png")) + size + "".join(those)
            (self.annotations / f"{name}.xml").write_text(element("annotation", body))
        return self

    def list(self, text, name="list.txt"):
        path = self.folder / name
        path.write_text(text)
        return (str(path),)
