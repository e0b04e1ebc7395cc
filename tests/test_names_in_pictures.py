"""Names in pictures: letters of any script, as large as the picture asks for, inside it and apart from each other."""

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw

from export import client
from pipelines import check
from tfrecog import evaluate, predict
from tfrecog.cli.errors import UserError
from tfrecog.drawing import annotations, figures, fonts, name_tags

MISSING = "\ue123"  # of the private use area, which no font has
FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")
COLOUR = annotations.colour(1)


def written(text, size=24, font=""):
    """Picture uint8 [H, W] of a text in black on white."""
    page = Image.new("L", (400, 60), 255)
    with fonts.preferred(font):
        fonts.Font(size).draw(ImageDraw.Draw(page), 10, 30, text, 0)
    return np.asarray(page)


@pytest.mark.parametrize("text", ["Straße", "Кошка", "Γάτα", "قطة", "חתול", "კატა", "😀"])
def test_letters_of_many_scripts_are_not_boxes(text):
    for letter in text:
        assert (written(letter) < 128).any() and not np.array_equal(written(letter), written(MISSING))


def test_what_no_font_has_is_a_box_and_is_told_once(caplog):
    with caplog.at_level(logging.WARNING, logger="tfrecog"):
        for letter in "\ue201\ue202\ue203":
            np.testing.assert_array_equal(written(letter), written(MISSING))
    assert (written(MISSING) < 128).any() and len(caplog.records) <= 1


def test_letters_are_those_of_the_given_font_where_it_has_them():
    mono, serif = FONTS / "DejaVuSansMono.ttf", FONTS / "DejaVuSerif.ttf"
    plain, of_mono, of_serif = (written("iiii", font=str(font)) for font in ("", mono, serif))
    assert not np.array_equal(plain, of_mono) and not np.array_equal(of_mono, of_serif)
    np.testing.assert_array_equal(written("ח", font=str(mono)), written("ח"))  # It has no Hebrew.
    np.testing.assert_array_equal(written("iiii"), plain)


@pytest.mark.parametrize("content", [None, b"", b"no font"])
def test_a_file_that_is_no_font_is_named(tmp_path, content):
    file = tmp_path / "some.ttf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"some\.ttf: it cannot be read"), fonts.preferred(file):
        pass


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        (predict, predict.Flags(images=("none.jpg",), model="none")),
        (evaluate, evaluate.Flags(workdir="none")),
        (check, check.Check(data="none")),
        (client, client.Flags(images="none.jpg", url="http://none.invalid", out="seen")),
    ],
)
def test_a_command_names_a_wrong_font_before_anything_else(tmp_path, module, flags):
    (tmp_path / "a.ttf").write_text("no font")
    flags = dataclasses.replace(flags, font=str(tmp_path / "a.ttf"))
    with pytest.raises(UserError, match=r"^--font=.*a\.ttf: it cannot be read as a scalable font"):
        module.main(flags)


def font_with_missing(file):
    """Writes a font in which MISSING is the letter A of Computer Modern."""
    one = TTFont(FONTS / "cmr10.ttf")
    for table in one["cmap"].tables:
        if table.isUnicode():
            table.cmap[ord(MISSING)] = table.cmap[ord("A")]
    one.save(file)


def drawn(tmp_path, text, font):
    """Bytes of a figure with a text at a tick and in its title, in a font."""
    figure, (axes,) = figures.panels(1)
    axes.set_xticks([0], [text])
    axes.set_title(text)
    with fonts.preferred(font):
        figures.save(figure, tmp_path / "figure.png")
    return (tmp_path / "figure.png").read_bytes()


def test_texts_in_figures_are_in_the_fonts_of_pictures(tmp_path):
    font_with_missing(tmp_path / "one.ttf")
    font, other = str(tmp_path / "one.ttf"), str(FONTS / "cmr10.ttf")
    assert drawn(tmp_path, MISSING, font) == drawn(tmp_path, "A", other) == drawn(tmp_path, "A", font)
    assert len({drawn(tmp_path, MISSING, other), drawn(tmp_path, "A", font), drawn(tmp_path, "A", "")}) == 3


def test_a_font_of_the_system_is_found_for_what_the_others_lack(tmp_path):
    folder = tmp_path / ".fonts" / "some"
    folder.mkdir(parents=True)
    font_with_missing(folder / "one.ttf")
    (folder / "broken.ttf").write_bytes(b"no font")
    script = (
        "from tests.test_names_in_pictures import *\n"
        "print(np.array_equal(written('\\ue123'), written('\\ue124')), (written('\\ue123') < 128).any())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
    assert "no font here has" in done.stderr and "U+E124" in done.stderr and "U+E123" not in done.stderr


@pytest.mark.parametrize("text", ["a\nb", "a\0\x1b[31mb", "\ud800", "x" * 100_000, "́a"])
def test_no_name_breaks_a_picture(text):
    font = fonts.Font(20)
    short = font.shortened(text, 100)
    assert font.length(short) <= 100 and (short == text or short.endswith("…"))
    page = Image.new("L", (120, 40), 255)
    font.draw(ImageDraw.Draw(page), 0, 20, short, 0)


def tagged(texts, boxes, size=(640, 480)):
    """Rectangles (top, left, bottom, right) and pixels that are left of the names at boxes in a gray picture."""
    page, (width, height) = Image.new("RGB", size, "gray"), size
    colours = [(i % 256, i // 256, 9) for i in range(len(texts))]
    font = name_tags.font(height, width, len(texts))
    name_tags.draw(ImageDraw.Draw(page), texts, np.array(boxes, float), colours, font)
    found = []
    for rgb in colours:
        y, x = np.nonzero((np.asarray(page) == rgb).all(-1))
        found.append((y.min(), x.min(), y.max() + 1, x.max() + 1) if len(y) else None)
    return found, font


@pytest.mark.parametrize(("height", "width"), [(128, 160), (480, 640), (3000, 4000)])
def test_names_grow_with_the_picture(height, width):
    image = np.full((height, width, 3), 128, np.uint8)
    box = np.array([[0.4 * height, 0.4 * width, 0.6 * height, 0.6 * width]])
    with_name, without = (annotations.instances(image, box, [1], names=[name], min_side=400) for name in ("person", ""))
    rows = np.flatnonzero((with_name != without).any(-1).any(1))
    # Lines of a 36th of the shorter side, and so of what a person sees of the whole picture.
    assert (rows[-1] - rows[0]) / with_name.shape[0] == pytest.approx(1 / 36, rel=0.5)


@pytest.mark.parametrize("box", [(0, 0, 480, 640), (0, 0, 30, 40), (450, 600, 480, 640), (200, 300, 240, 350)])
def test_names_of_one_place_are_whole_and_apart(box):
    (alone,), _ = tagged(["person"], [box])
    places, _ = tagged(["person"] * 3, [box] * 3)
    covered = np.zeros([480, 640], int)
    for top, left, bottom, right in places:
        assert (bottom - top, right - left) == (alone[2] - alone[0], alone[3] - alone[1])
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_names_are_cut_short_where_there_is_no_room_for_all():
    name, box = "a name of many words", (100, 100, 120, 120)
    widths = []
    for count in (1, 300):
        places, font = tagged([name] * count, [box] * count, size=(320, 240))
        widths.append(places[-1][3] - places[-1][1])
        assert font.size >= 10
    assert widths[0] > 8 * 10 and widths[1] < widths[0] / 1.5


def test_neighbours_of_a_class_have_different_shades_and_those_apart_the_same():
    image = np.full((200, 400, 3), 128, np.uint8)
    boxes = np.array([[50.0, 20, 150, 100], [60, 90, 140, 170], [50, 300, 150, 380]])

    def colours(order):
        picture = annotations.instances(image, boxes[order], [1, 1, 1])
        return [tuple(picture[int(boxes[i, 2]) - 1, int(boxes[i, 1]) + 5]) for i in range(3)]

    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        one, neighbour, apart = colours(order)
        assert one != neighbour and COLOUR in (one, neighbour) and apart == COLOUR


def test_a_thick_line_is_seen_on_a_ground_of_its_own_colour():
    for label in range(1, 9):
        image = np.full((480, 640, 3), annotations.colour(label), np.uint8)
        picture = annotations.instances(image, np.array([[100.0, 100, 300, 300]]), [label], names=[""] * 8)
        assert (picture[200] != image[200]).any(-1).sum() >= 2, "both sides of the box"


def test_the_bones_of_a_person_have_the_persons_colour_around_those_of_the_side():
    image = np.full((480, 640, 3), 128, np.uint8)
    boxes = np.array([[100.0, 100, 400, 300], [110, 280, 390, 480]])
    joints = np.array([[[200.5, 150.5, 2], [300.5, 150.5, 2]], [[200.5, 400.5, 2], [300.5, 400.5, 2]]])
    picture = annotations.instances(
        image, boxes, [1, 1], keypoints=joints, skeleton=[(0, 1)], flip_pairs=[(0, 5), (1, 6)]
    )
    across = picture[250, 140:160], picture[250, 390:410]
    around = []
    for row in across:
        (side,) = np.flatnonzero((row == annotations.LEFT).all(-1))[[0]]
        assert tuple(row[side - 1]) != (128, 128, 128)
        around.append(tuple(row[side - 1]))
    assert around[0] != around[1] and COLOUR in around
