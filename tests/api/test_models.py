"""Models of runs and of exported files: from Python they see what the commands see."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import tfrecog
from pipelines import scenes
from tests.export import commands, random_runs
from tfrecog import evaluate, predict
from tfrecog.api import results
from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.ops import rle

RECIPES = {"detection": "mask_rcnn", "classification": "classifier_digits", "segmentation": "segmenter"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def photos(folder):
    """A folder of two pictures, and one below it."""
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(60, 80), (90, 50), (64, 64)]):
        blocks = rng.integers(0, 256, [height // 10 + 1, width // 10 + 1, 3]).astype(np.uint8)
        path = folder / "photos" / ("below/" * (number == 2)) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks.repeat(10, 0).repeat(10, 1)[:height, :width]).save(path)
    return folder / "photos"


@pytest.fixture(scope="module", params=list(RECIPES))
def run(request, folder):
    """Of each task the folder of a run with random weights; moved after it was made."""
    made = random_runs.make(RECIPES[request.param], folder / f"made-{request.param}").parent
    moved = folder / request.param
    return moved if moved.exists() else made.rename(moved)


@pytest.fixture(scope="module")
def detector(folder):
    return tfrecog.load(random_runs.make("mask_rcnn", folder / "detector").parent, min_score=0.05)


@pytest.fixture(scope="module")
def sure(detector):
    """The same, which finds what is sure alone."""
    return tfrecog.load(detector.experiment.workdir, min_score=0.3)


def least(run, score):
    """The least score as `load` has it: of detectors."""
    return {"min_score": score} if run.name == "detection" else {}


def files(photos):
    return sorted(photos.rglob("*.png"), key=str)


def test_a_run_sees_from_python_what_the_command_writes(run, photos, tmp_path):
    model = tfrecog.load(run, **least(run, 0.1))
    flags = [f"--flagfile={run}/experiment.flags", f"--workdir={run}", f"--images={photos}", f"--out={tmp_path}"]
    flags += ["--min_score=0.1"] * (model.task == "detection")
    predict.main(command.parse(predict.Flags(), flags))
    found = list(model.stream(photos))
    assert [one.source for one in found] == list(map(str, files(photos)))
    if model.task == "detection":
        written = json.loads((tmp_path / "detections.json").read_text())
        for row in written:
            assert row.pop("file_name") == found[row["image_id"]].source
            del row["category_name"]
        assert written == [row for number, one in enumerate(found) for row in one.to_coco(number)] and written
    elif model.task == "classification":
        for row, one in zip(json.loads((tmp_path / "predictions.json").read_text()), found, strict=True):
            assert [each["category_name"] for each in row["classes"]] == one.names[:5]
            assert [each["probability"] for each in row["classes"]] == [round(float(p), 6) for p in one.scores[:5]]
    else:
        for row, one in zip(json.loads((tmp_path / "predictions.json").read_text())["images"], found, strict=True):
            assert [each["category_name"] for each in row["classes"]] == one.names
            ids = np.array(Image.open(tmp_path / row["label_map"]))
            np.testing.assert_array_equal(ids, 10 * one.label_map)
    drawn = Image.open(tmp_path / "0.jpg")
    assert found[0].draw().size == drawn.size


def test_one_picture_gives_a_result_and_several_a_list(detector, photos):
    path = files(photos)[0]
    one = detector.predict(path)
    assert isinstance(one, results.DetectionResult) and len(one) > 1
    again, pixels = detector.predict([str(path), np.asarray(Image.open(path))])
    for other in (again, pixels, detector(path)):
        assert other.to_coco() == one.to_coco()
    assert detector.predict([]) == []
    assert pixels.source == "" and one.source == str(path)
    assert f"{len(one)} detections" in repr(one) and "detection of 6 classes" in repr(detector)


def test_a_result_has_arrays_in_pixels_of_the_picture(detector, photos):
    one = detector.predict(files(photos)[0])
    count, (height, width) = len(one), one.size
    assert (height, width) == (60, 80) and one.picture.shape == (60, 80, 3)
    assert one.boxes.shape == (count, 4) and one.masks.shape == (count, 60, 80) and one.masks.dtype == bool
    assert (one.boxes >= 0).all() and (one.boxes <= [60, 80, 60, 80]).all()
    assert (np.diff(one.scores) <= 0).all() and one.names == [detector.names[label - 1] for label in one.labels]
    assert one.keypoints is None
    rows, plain = one.to_coco(3), json.loads(json.dumps(one.to_dict()))
    for i, row in enumerate(rows):
        y, x, bottom, right = one.boxes[i]
        np.testing.assert_allclose(row["bbox"], [x, y, right - x, bottom - y], atol=2e-3)
        assert row["image_id"] == 3 and row["category_id"] == 10 * one.labels[i]
        runs = rle.from_coco({**row["segmentation"], "counts": row["segmentation"]["counts"].encode()})
        np.testing.assert_array_equal(rle.decode(*runs), one.masks[i])
        each = plain["detections"][i]
        assert each["box"] == one.boxes[i].tolist() and each["name"] == one.names[i]
    sure = one.above(float(one.scores[1]))
    assert len(sure) == 1 and sure.masks.shape == (1, 60, 80) and sure.to_coco() == one.to_coco()[:1]


def test_supervision_gets_the_same_boxes(detector, photos):
    pytest.importorskip("supervision", reason="supervision is not installed")
    one = detector.predict(files(photos)[0])
    other = one.to_supervision()
    np.testing.assert_allclose(other.xyxy, one.boxes[:, [1, 0, 3, 2]], atol=1e-5)
    assert other.data["class_name"].tolist() == one.names and (other.class_id == one.labels - 1).all()
    np.testing.assert_array_equal(other.mask, one.masks)


def test_a_higher_score_leaves_out_and_a_lower_one_is_refused(detector, photos):
    one = detector.predict(files(photos)[0])
    limit = float(np.median(one.scores))
    fewer = detector.predict(files(photos)[0], min_score=limit)
    assert 0 < len(fewer) < len(one) and (fewer.scores > limit).all()
    higher = tfrecog.load(detector.experiment.workdir, min_score=limit)
    assert higher.predict(files(photos)[0]).to_coco() == fewer.to_coco()
    (streamed,) = detector.stream([files(photos)[0]], min_score=limit)
    assert streamed.to_coco() == fewer.to_coco()
    with pytest.raises(UserError, match=r"min_score=0\.01: this model finds nothing .* load it with"):
        detector.predict(files(photos)[0], min_score=0.01)
    assert len(detector.predict(files(photos)[0], min_score=np.median(one.scores))) == len(fewer), "a NumPy scalar"
    for wrong in (3, "0.5", float("nan")):
        with pytest.raises(UserError, match=f"min_score={wrong!r}: give a number from 0 to 1"):
            detector.predict(files(photos)[0], min_score=wrong)


def test_settings_of_a_run_are_changed_as_by_flags(detector, photos):
    few = tfrecog.load(detector.experiment.workdir, min_score=0.05, settings={"detector.output.max_detections": 2})
    assert few.predict(files(photos)[0]).to_coco() == detector.predict(files(photos)[0]).to_coco()[:2]
    for settings, message in [
        ({"detector.nothing": 1}, "^detector.nothing is not a setting"),
        ({"detector.output.max_detections": "many"}, "needs a whole number"),
        ({"detector.output.nms_iou": 7}, "detector.output.nms_iou=7"),
        ({"detector.output.paste": "somehow"}, "should be one of"),
        ({"detector.output.min_score": 0.1}, "the least score its min_score"),
    ]:
        with pytest.raises(UserError, match=message):
            tfrecog.load(detector.experiment.workdir, settings=settings)
    with pytest.raises(UserError, match=r"^min_score=7"):
        tfrecog.load(detector.experiment.workdir, min_score=7)


def test_what_cannot_be_read_is_told_and_the_rest_is_seen(detector, photos, tmp_path, caplog):
    shutil.copy(files(photos)[0], tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    broken = {}
    assert len(list(detector.stream(tmp_path, broken=broken))) == 1 and list(broken) == [str(tmp_path / "b.png")]
    assert len(list(detector.stream(tmp_path))) == 1 and "not read" in caplog.text and "b.png" in caplog.text


@pytest.mark.parametrize("kind", ["saved_model", "tflite"])
def test_an_exported_file_sees_what_its_run_sees(run, photos, tmp_path, kind):
    if kind == "tflite":
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
    model = tfrecog.load(run, **least(run, 0.05))
    options = {"size": "" if model.task == "classification" else "64x64", "input": "float32"}
    path = model.export(kind, tmp_path / f"model.{kind}", **options if kind == "tflite" else {})
    exported = tfrecog.load(path)
    assert exported.names == model.names and exported.task == model.task
    picture = photos / "below/2.png"  # 64 x 64
    one, other = (each.predict(picture) for each in (model, tfrecog.load(path, **least(run, 0.05))))
    if model.task == "detection":
        if kind == "saved_model":  # What pictures of another size become, verify compares.
            assert len(one) == len(other) > 0
            np.testing.assert_allclose(other.boxes, one.boxes, atol=0.01)
            np.testing.assert_allclose(other.scores, one.scores, atol=1e-5)
        with pytest.raises(UserError, match="has no detections with a score below"):
            tfrecog.load(path, min_score=0.01)
    elif model.task == "classification":
        np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-4)
    else:
        assert (other.label_map == one.label_map).mean() > 0.99
    for refused in (exported.evaluate, exported.export):
        with pytest.raises(UserError, match="is an exported file"):
            refused("tflite", "a.tflite")
    with pytest.raises(UserError, match="is an exported file"):
        exported.keras_model  # noqa: B018


def test_a_tflite_file_sees_what_the_command_writes(folder, photos, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
    run = random_runs.make("keypoint_rcnn", folder / "keypoints").parent
    path = tfrecog.load(run).export("tflite", tmp_path / "model.tflite", size="128x128")
    commands.run(predict, model=path, images=photos, out=tmp_path / "seen", min_score=0.1)
    written = json.loads((tmp_path / "seen" / "detections.json").read_text())
    found = list(tfrecog.load(path, min_score=0.1).stream(photos))
    rows = [row for number, one in enumerate(found) for row in one.to_coco(number)]
    assert rows == [{k: v for k, v in row.items() if k not in ("file_name", "category_name")} for row in written]
    assert rows and found[0].info.keypoints == random_runs.INFO.keypoints
    json.dumps(found[0].to_dict())


def test_a_split_is_evaluated_to_the_numbers_of_the_command(detector, sure, tmp_path):
    data, run = tmp_path / "data", detector.experiment.workdir
    commands.run(scenes, count=4, split="val", out=data)
    flags = [f"--flagfile={run}/experiment.flags", f"--data.records={data}", f"--out={tmp_path / 'out'}"]
    # The run knows none of the classes of these records.
    with pytest.raises(UserError, match=r"thing 1.* \(train\.start_from=RUN train\.skip_mismatched\)"):
        detector.evaluate(data)
    numbered = json.loads((data / "dataset.json").read_text())
    for number, category in enumerate(numbered["categories"], 1):
        category["name"] = f"thing {number}"
    (data / "dataset.json").write_text(json.dumps(numbered))
    evaluate.main(command.parse(evaluate.Flags(), flags))
    numbers = detector.evaluate(data, split="val")
    assert sure.evaluate(data) == numbers  # What is seen of pictures is another thing.
    assert tfrecog.load(run, min_score=0.01).evaluate(data) == numbers
    assert numbers == json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    assert "box_AP" in numbers and not (tmp_path / "metrics.json").exists()


def test_tiles_see_each_part_as_it_is_alone_and_are_not_for_classifiers(detector, photos, folder):
    pixels = np.zeros([64, 192, 3], np.uint8)
    pixels[:, :64] = part = np.asarray(Image.open(photos / "below/2.png"))
    tiled, alone = detector.predict(pixels, tiles=64, overlap=0.0), detector.predict(part)
    assert tiled.size == (64, 192) and tiled.masks.shape == (len(tiled), 64, 192)
    of_part = {(one["category_id"], *one["bbox"]) for one in alone.to_coco()}
    assert of_part & {(one["category_id"], *one["bbox"]) for one in tiled.to_coco()}
    (streamed,) = detector.stream([pixels], tiles=(64, 64), overlap=0.0)
    assert streamed.to_coco() == tiled.to_coco()
    digits = tfrecog.load(random_runs.make("classifier_digits", folder / "digits2").parent)
    with pytest.raises(UserError, match="a classifier looks at the middle"):
        digits.stream([], tiles=(60, 80))
    with pytest.raises(UserError, match="min_score is only for detectors"):
        digits.predict(pixels, min_score=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: tfrecog.load(3), "source=3: give the name"),
        (lambda run: tfrecog.load(run, min_score="high"), "^min_score='high': give a number"),
        (lambda run: tfrecog.load(run, min_score=0.3), "^min_score=0.3: .*wrong is not a detector; leave it out"),
        (
            lambda run: tfrecog.load(run, threads=2),
            "^threads=2: they are of a TFLite or ONNX file, and .*wrong is none",
        ),
        (lambda run: tfrecog.load(run, device="tpu"), "^device=tpu is not a device of this machine"),
        (lambda run: tfrecog.load(run, checkpoint="nowhere"), "give the workdir of a run, .*python -m .* --model=NAME"),
        (lambda run: tfrecog.load(run).evaluate(), "^records: the run names none; give the folder"),
        (lambda run: tfrecog.load(run).evaluate("nowhere"), "nowhere/dataset.json is missing"),
        (lambda run: tfrecog.load(run).export("tflite", "a.tflite", quantize="int4"), "^quantize=int4: value should"),
        (lambda run: tfrecog.load(run).export("tflite", "a.tflite", sizes="3"), "sizes is not a setting; did you mean"),
        (lambda run: tfrecog.load(run).stream(""), "^name the pictures, as in 'photos"),
    ],
)
def test_errors_name_arguments_and_settings_without_the_dashes_of_flags(folder, call, message):
    run = folder / "wrong"
    if not run.exists():
        random_runs.make("classifier_digits", run)
    with pytest.raises((UserError, FileNotFoundError), match=message):
        call(run)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing/here", "nothing/here is no model: give the folder of a run"),
        ("nothing.h5", "is no model"),
        ("maskrcnn_resnet50", "such as maskrcnn_resnet50_fpn"),
        ("nothing.tflite", "there is no such file"),
        ("nothing.onnx", "there is no such file. Make one: python -m export.onnx"),
        ("maskrcnn_resnet50_fpn", "cannot download .* no network"),
        (".", "there is no SavedModel"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_give(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFRECOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # So that there is no network anywhere.
    with pytest.raises((UserError, FileNotFoundError), match=message):
        tfrecog.load(source)
