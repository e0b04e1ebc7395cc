"""Pictures that a person may have: class folders, and squares in grey pictures with their boxes."""

import numpy as np
from PIL import Image

_XML = """<annotation><filename>{name}</filename><size><width>96</width><height>64</height><depth>3</depth></size>
<object><name>square</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>
</annotation>
"""


def of_classes(folder, each=20, side=20):
    """Two classes of small noisy grey pictures: one brighter at the top, one at the bottom."""
    random = np.random.default_rng(0)
    for name, half in (("top", slice(0, side // 2)), ("bottom", slice(side // 2, side))):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = random.integers(0, 120, (side, side), np.uint8)
            pixels[half] += 100
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def of_squares(folder, count=12):
    """A bright square in each picture of noise, with the XML of Pascal VOC beside it."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for _ in range(count):
        pixels = random.integers(0, 120, (64, 96, 3), np.uint8)
        x, y = int(random.integers(2, 60)), int(random.integers(2, 30))
        pixels[y : y + 24, x : x + 24] = 230
        name = f"scene{random.integers(10**6)}"
        Image.fromarray(pixels).save(folder / f"{name}.png")
        (folder / f"{name}.xml").write_text(_XML.format(name=f"{name}.png", x=x + 1, y=y + 1, x2=x + 24, y2=y + 24))
    return folder
