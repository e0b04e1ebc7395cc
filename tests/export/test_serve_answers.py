"""Served answers are those of `tfrecog.predict` to the same files, for each task and each form of masks."""

import asyncio
import base64
import dataclasses
import functools
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from export import saved_model, serve
from export.server import requests, responses
from export.server.errors import Refused
from export.server.model import ServedModel
from export.server.registry import Model, Registry, Version
from export.server.workers import Workers
from tests.export import commands, random_runs, servers
from tests.matrices import representatives
from tfrecog import predict
from tfrecog.cli import flags
from tfrecog.ops import rle


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photo that is to be turned, a picture with a palette, one of 16 bits a pixel, and one that is transparent."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)

    def noise(height, width):
        coarse = random.integers(0, 256, [height // 8, width // 8, 3]).astype(np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)

    exif = Image.Exif()
    exif[0x0112] = 6
    noise(88, 56).save(folder / "a.jpg", exif=exif)
    noise(64, 96).quantize(64).save(folder / "b.png")
    Image.fromarray(np.asarray(noise(72, 56).convert("L"), np.uint16) * 257).save(folder / "c.png")
    noise(56, 88).convert("RGBA").save(folder / "d.webp", lossless=True)
    return folder


def served(folder, files):
    """V1's predictions for the bytes of files, all in one request."""
    found = []
    servers.beside(folder, lambda server: found.extend(server.predict(list(map(as_base64, files)))), max_wait_ms=50.0)
    return found


def as_base64(content):
    return {"b64": base64.b64encode(content).decode()}


def with_masks(experiment):
    """A detector with a small branch of masks."""
    mask = dataclasses.replace(experiment.detector.mask, channels=8, convs=1)
    return dataclasses.replace(experiment, detector=dataclasses.replace(experiment.detector, masks=True, mask=mask))


RECIPES = ["faster_rcnn_zf", "mask_rcnn", "keypoint_rcnn", "classifier_digits", "segmenter"]


# The detector whose graphs are the smallest, with masks.
@pytest.mark.parametrize("recipe", representatives(RECIPES, "faster_rcnn_zf", "classifier_digits", "segmenter"))
def test_an_answer_is_what_predict_writes_of_the_file(recipe, photos, tmp_path):
    flagfile = random_runs.make(recipe, tmp_path / "run", with_masks if recipe == "faster_rcnn_zf" else lambda run: run)
    commands.run(saved_model, flagfile, out=tmp_path / "model")
    seen = flags.load(predict.Flags(), flagfile)
    if seen.task == "detection":
        seen = dataclasses.replace(seen, min_score=seen.detector.output.min_score)
    predict.main(dataclasses.replace(seen, images=(str(photos),), out=str(tmp_path / "seen")))
    paths = sorted(photos.iterdir())
    got = served(tmp_path / "model", [path.read_bytes() for path in paths])
    assert [one["image_size"] for one in got] == [[56, 88], [64, 96], [72, 56], [56, 88]], "upright"

    if recipe == "segmenter":
        for one, name in zip(got, "abcd", strict=True):
            values = np.asarray(Image.open(tmp_path / f"seen/label_maps/{name}.png"))
            ids = np.array([255, *(category.id for category in random_runs.INFO.categories)])
            np.testing.assert_array_equal(ids[np.array(one["labels"])], values)
        return
    if recipe == "classifier_digits":
        for one, row in zip(got, json.loads((tmp_path / "seen/predictions.json").read_text()), strict=True):
            assert one["classes"] == [best["category_name"] for best in row["classes"]]
            np.testing.assert_allclose(one["class_scores"], [best["probability"] for best in row["classes"]], atol=1e-5)
        return
    rows = json.loads((tmp_path / "seen/detections.json").read_text())
    assert rows
    for number, one in enumerate(got):
        own = [row for row in rows if row["image_id"] == number]
        assert one["num_detections"] == len(own) == len(one["detection_boxes"])
        assert one["detection_class_names"] == [row["category_name"] for row in own]
        np.testing.assert_allclose(one["detection_scores"], [row["score"] for row in own], atol=1e-5)
        y1, x1, y2, x2 = np.reshape(one["detection_boxes"], [-1, 4]).T
        boxes = np.reshape([row["bbox"] for row in own], [-1, 4])
        np.testing.assert_allclose(np.stack([x1, y1, x2 - x1, y2 - y1], 1), boxes, atol=0.01)
        if recipe != "keypoint_rcnn":
            for mask, row in zip(one["detection_masks"], own, strict=True):
                assert mask["size"] == row["segmentation"]["size"]
                # A pixel whose probability is the threshold but for rounding may be either.
                assert (rle.decode(*rle.from_coco(mask)) != rle.decode(*rle.from_coco(row["segmentation"]))).sum() <= 1
        else:
            points = np.reshape([row["keypoints"] for row in own], [len(own), -1, 3])
            keypoints = np.reshape(one["detection_keypoints"], [len(own), -1, 3])
            np.testing.assert_allclose(keypoints[..., 1::-1] - 0.5, points[..., :2], atol=0.01)
            np.testing.assert_allclose(keypoints[..., 2], [row["keypoint_scores"] for row in own], atol=1e-4)


def test_each_form_of_masks_is_answered_with_the_same_run_lengths():
    """A full square in a box 2..6 x 3..8 fills the pixels whose centres the box has, and half an empty one none."""
    size, box = (9, 12), np.array([[2, 3, 6, 8], [0, 0, 0, 0]], np.float32)
    mask = np.zeros(size, bool)
    mask[2:6, 3:8] = True
    runs = [2 + 9 * 3, 4, *[5, 4] * 4, 9 * 12 - (9 * 7 + 6)]
    common = {
        "detection_boxes": box, "detection_classes": np.array([1, 0], np.int32),
        "detection_class_names": np.array([b"cat", b""], object), "detection_scores": np.array([0.9, 0], np.float32),
    }  # fmt: skip
    forms = {
        "pasted": np.stack([mask, mask & False]).astype(np.uint8),
        "runs": np.array([[*runs, 0, 0], [0] * (len(runs) + 2)], np.int32),
        "squares": np.ones([2, 28, 28], np.float32),
    }
    for form, array in forms.items():
        seen = responses.of_picture(
            common | {"detection_masks": array}, size, {"mask_threshold": 0.5, "paste": "torchvision"}
        )
        (said,) = seen["detection_masks"]
        got = rle.decode(*rle.from_coco(said))
        if form == "squares":  # Its rule is tested elsewhere; a border of half a cell and a pixel may be either.
            got = got[3:5, 4:7].all() and not got[[0, 7, 8]].any() and not got[:, [0, 1, 10, 11]].any()
            assert got, form
        else:
            np.testing.assert_array_equal(got, mask, err_msg=form)


BOUNDS = requests.Bounds(max_megapixels=50, max_pictures=2)


def test_tensors_of_pictures_that_differ_are_padded_with_zeros():
    found = [
        {
            "detection_boxes": np.ones([2, 4]),
            "num_detections": np.array(2, np.int32),
            "detection_masks": [{"a": 1}] * 2,
        },
        {"detection_boxes": np.zeros([0, 4]), "num_detections": np.array(0, np.int32), "detection_masks": []},
    ]
    tensors = responses.tensors(found, BOUNDS)
    assert tensors["detection_boxes"].shape == (2, 2, 4) and tensors["detection_boxes"].dtype == np.float32
    assert tensors["detection_boxes"].sum(axis=(1, 2)).tolist() == [8, 0]
    assert tensors["num_detections"].tolist() == [2, 0]
    assert tensors["detection_masks"].tolist() == [[b'{"a":1}', b'{"a":1}'], [b"", b""]]


def test_label_maps_that_would_be_padded_to_too_much_are_refused():
    """A row beside a column of 60,000 pixels would be 7 gigabytes."""
    found = [{"labels": np.zeros(shape, np.uint8)} for shape in [(1, 60_000), (60_000, 1)]]
    with pytest.raises(
        Refused, match=r"padded to \[2, 60000, 60000\], have 7200.0 megapixels; .* Send pictures of one"
    ):
        responses.tensors(found, BOUNDS)


def test_it_lives_before_it_is_ready(tmp_path):
    """What a server answers while its model loads."""
    import httpx

    from export.server import http_connection, limits, rest_api

    version = Version("1", "LOADING")
    registry = Registry([Model("model", {"1": version})], Workers(serve.Flags()))
    app = http_connection.Application(
        functools.partial(rest_api.answer, registry), limits.Limits(max_bytes=1, max_requests=1)
    )

    async def ask(*paths):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return [await client.get(path) for path in paths]

    live, ready, state, told = asyncio.run(
        ask("/v2/health/live", "/v2/health/ready", "/v2/models/model/ready", "/v1/models/model")
    )
    assert live.status_code == 200
    for answer in (ready, state):
        assert answer.status_code == 503 and answer.headers["retry-after"] == "2"
        assert answer.json() == {"error": "the model 'model' is being loaded; ask again in a few seconds"}
    assert told.json()["model_version_status"][0]["state"] == "LOADING"
    version.state, version.served = "AVAILABLE", ServedModel("model", tmp_path, {}, registry.workers)
    (ready,) = asyncio.run(ask("/v2/health/ready"))
    assert ready.status_code == 200 and ready.json() == {"ready": True}
