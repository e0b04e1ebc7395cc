"""The server's page in a headless Chromium, with pictures that are given to it as a person gives them."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import tensorflow as tf

from export.pages import page
from export.server import rest_api
from tests.export import browsers, served_folders, servers
from tfrecog.drawing import annotations


class Halves(tf.Module):
    """A segmenter: the left half is "red", the right one "blue"."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def image_tensor(self, image):
        shape = tf.shape(image)
        column = tf.where(tf.range(shape[2]) * 2 < shape[2], 1, 3)
        return {
            "labels": tf.cast(tf.broadcast_to(column, shape[:3]), tf.uint8),
            "image_size": tf.repeat(shape[None, 1:3], shape[0], axis=0),
        }


def test_a_browser_gets_the_page_and_other_clients_the_state(tmp_path):
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")

    def story(server):
        for accept, kind in (("text/html,*/*;q=0.8", "text/html; charset=utf-8"), ("*/*", "application/json")):
            status, headers, body = server.ask("GET", "/", headers={"Accept": accept})
            assert status == 200 and headers["content-type"] == kind
            assert body.startswith(b"<!DOCTYPE html>") == (kind != "application/json")
            assert ("default-src 'none'" in headers.get("content-security-policy", "")) == (kind != "application/json")

    servers.beside(tmp_path / "colours", story)


def test_the_page_draws_the_keypoints_that_predict_draws():
    html = page.build(Path(rest_api.__file__).parent, ("page.js",)).html.decode()
    assert float(re.search(r"MIN_KEYPOINT_SCORE = (\S+);", html)[1]) == annotations.MIN_KEYPOINT_SCORE
    assert not re.search(r"innerHTML|https?://(?!127)", html)


def the_camera_is_drawn_and_stops(tab):
    """On the page of `Halves`; what the camera films is in one colour but for its middle and corners."""
    tab.value(
        """(() => {
            const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
            window.opened = [];
            devices.getUserMedia = async (...how) => { opened.push(await open(...how)); return opened.at(-1); };
        })()"""
    )
    asked = tab.value("turns")
    tab.value("$('camera').click(); $('camera').click()")  # The second click comes before there is a camera.
    servers.until(lambda: tab.value(f"turns > {asked} + 2"), seconds=30)
    tab.value("$('camera').click()")
    assert tab.value("opened.map(one => one.getTracks()[0].readyState)") == ["ended"]
    assert tab.value("stream") is None and tab.value("shown.answer.image_size") == [480, 640]
    assert sorted(tab.rows()) == ["blue\t50.0 %", "red\t50.0 %"]
    (left, right), drawn = tab.filmed([[240, 40], [240, 600]]), [tab.pixel(240, 40), tab.pixel(240, 600)]
    assert left == right and drawn[0] != drawn[1] and left not in drawn


@pytest.mark.skipif(browsers.CHROMIUM is None, reason="Chromium is not installed")
def test_a_person_sees_what_the_model_sees(tmp_path):
    served_folders.write(
        tmp_path / "finder", served_folders.RedFinder(), "detection",
        keypoints=["tip", "foot"], skeleton=[[0, 1]],
    )  # fmt: skip
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    served_folders.write(tmp_path / "halves", Halves(), "segmentation")
    box = (20, 30, 80, 60)
    scene = served_folders.picture(100, 120, box)

    with browsers.browser() as tab:

        def detector(server):
            tab.open(server.url)
            assert tab.value("$('title').textContent") == "finder"
            tab.drop(served_folders.encoded(scene))
            assert tab.rows() == ["green\t75.0 %"]
            assert tab.value("shown.answer.detection_boxes") == [list(map(float, box))]
            ground = list(map(int, scene[5, 5]))
            inside, outside = tab.pixel(60, 50), tab.pixel(90, 100)
            assert outside == ground and inside != list(map(int, scene[60, 50]))
            tab.value("$('threshold').value = 0.9; $('threshold').oninput()")
            assert tab.rows() == [] and tab.pixel(60, 50) == list(map(int, scene[60, 50]))
            tab.value("$('threshold').value = 0.5; $('threshold').oninput()")
            assert tab.rows() == ["green\t75.0 %"]

            exif = Image.Exif()
            exif[0x112] = 6  # a quarter turn to the right
            turned = served_folders.encoded(scene, "JPEG", quality=100, exif=exif)
            tab.drop(turned, "image/jpeg")
            assert tab.value("[$('canvas').width, $('canvas').height]") == [400, 480]
            ((y1, x1, y2, x2),) = tab.value("shown.answer.detection_boxes")
            assert abs(y1 - 30) < 2 and abs(x1 - 20) < 2 and abs(y2 - 60) < 2 and abs(x2 - 80) < 2
            drawn = tab.pixel(45, 50)
            assert max(abs(a - b) for a, b in zip(drawn, inside, strict=True)) < 30

            tab.drop(b"no picture")
            assert "image" in tab.value("$('problem').textContent")
            assert tab.rows() == [] and tab.value("$('canvas').width") == 0

            (tmp_path / "photo.jpg").write_bytes(served_folders.encoded(scene, "JPEG"))
            commands = [[sys.executable, "-c", tab.value("$('python').textContent")]]
            commands += [shlex.split(tab.value("$('curl').textContent"))] if shutil.which("curl") else []
            for command in commands:
                done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
                assert "green" in done.stdout

            tab.value("$('camera').click()")
            servers.until(lambda: tab.value("!!stream && !!shown"), seconds=30)
            tab.value("$('camera').click()")
            assert tab.value("stream") is None

        servers.beside(tmp_path / "finder", detector)

        def classifier(server):
            tab.open(server.url)
            tab.drop(served_folders.encoded(served_folders.picture(20, 20, (0, 0, 20, 20))))
            assert tab.rows()[0].startswith("red\t") and len(tab.rows()) == 3

        servers.beside(tmp_path / "colours", classifier)

        def segmenter(server):
            tab.open(server.url)
            tab.drop(served_folders.encoded(scene))
            assert sorted(tab.rows()) == ["blue\t50.0 %", "red\t50.0 %"]
            assert tab.pixel(2, 2) == tab.pixel(98, 59) != tab.pixel(2, 60)

            the_camera_is_drawn_and_stops(tab)

        servers.beside(tmp_path / "halves", segmenter)
