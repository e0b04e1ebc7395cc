"""One answer by six ways: from Python, by the command, of a SavedModel, at a server, of a TFLite and of an ONNX file.

python -m pytest -s tests/api/test_six_ways.py prints the largest differences: docs/results.md has them.
"""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")
pytest.importorskip("uvicorn", reason="uvicorn, which serves models, is not installed")

import tfrecog
from export.artifact import results as outputs_of
from export.litert import graph
from export.onnx_files.reader import READERS
from export.parity import compare
from export.parity.checkpoint import CheckpointReader
from export.server import client_protocols
from tests.export import servers
from tests.matrices import representatives
from tests.processes import run
from tfrecog.api import results
from tfrecog.ops import rle
from tfrecog.runs import trained

SHORT = {"schedule.drop_epochs": (), "schedule.warmup_epochs": 1.0, "train.evaluate_epochs": 0.0, "train.replicas": 1}
# Of each kind a recipe, how its records are made, epochs of the 16 photos, and the size of its TFLite and ONNX files.
KINDS = {
    "classifier": ("classifier_digits", "classes", 20.0, "28x28"),
    "masks": ("mask_rcnn", "instances", 40.0, "128x192"),
    "keypoints": ("keypoint_rcnn", "person_keypoints", 40.0, "128x192"),
    "segmenter": ("segmenter", "panoptic", 40.0, "64x96"),
}
PHOTOS = ("000000126107", "000000183709", "000000231460")  # 480 x 640, 640 x 480, 406 x 500


@pytest.fixture(scope="module")
def pictures(shared_data, tmp_path_factory):
    """Photos of several sizes, one that its EXIF data turn, one with an alpha channel and one in gray."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [shared_data / f"coco_ccby_instances_keypoints/images/{name}.jpg" for name in PHOTOS]
    for file in files:
        shutil.copy(file, folder)
    first, exif = Image.open(files[0]), Image.Exif()
    exif[0x0112] = 6
    first.rotate(90, expand=True).save(folder / "turned.jpg", exif=exif, quality=95)
    assert ImageOps.exif_transpose(Image.open(folder / "turned.jpg")).size == first.size
    alpha = Image.open(files[2]).convert("RGBA")
    alpha.putalpha(128)
    alpha.save(folder / "alpha.png")
    Image.open(files[1]).convert("L").save(folder / "gray.png")
    return sorted(folder.iterdir())


def records(kind, shared_data, out):
    """Records of the 16 photos."""
    folder = shared_data / "coco_ccby_instances_keypoints"
    if kind == "panoptic":
        root = shared_data / "coco_ccby_panoptic"
        run("pipelines.segmentation", "--preset=coco_panoptic", f"--root={root}", "--split=train", f"--out={out}")
    elif kind == "classes":  # A photo's is the one of most of its objects.
        annotated = json.loads((folder / "instances.json").read_text())
        names = {one["id"]: one["name"] for one in annotated["categories"]}
        found = {one["id"]: Counter() for one in annotated["images"]}
        for one in annotated["annotations"]:
            found[one["image_id"]][names[one["category_id"]]] += 1
        labels = {name: found[number].most_common(1)[0][0] for number, name in files_of(annotated)}
        samples = [{"picture": folder / "images" / name, "label": label} for name, label in labels.items()]
        tfrecog.write_records(samples, sorted({*labels.values()}), out)
    else:
        given = (f"--images={folder / 'images'}", f"--annotations={folder / kind}.json")
        run("pipelines.coco", *given, "--split=train", f"--out={out}")


def files_of(annotated):
    return [(one["id"], one["file_name"]) for one in annotated["images"]]


def of_result(result):
    """A result as export.verify compares it."""
    if result.task == "classification":
        return {"scores": result.probabilities}
    if result.task == "segmentation":
        return {"labels": result.label_map}
    found = {name: getattr(result, name) for name in ("boxes", "labels", "scores", "keypoints")}
    if result.found.masks is not None:
        found["masks"] = [rle.from_coco(mask)[0] for mask in result.found.masks]
    return {name: value for name, value in found.items() if value is not None}


def of_server(folder, model, files, least):
    """By protocol what a server of a folder says of files."""
    answers = {}

    def story(server):
        for protocol in ("v1", "v2", "grpc"):
            ask = client_protocols.predictor(protocol, server.url, server.grpc_port, server.name, 60.0)
            answers[f"server, {protocol}"] = [result(model, *ask(file.read_bytes())) for file in files]

    def result(model, size, outputs):
        found = outputs_of.of_picture(outputs, size, least)
        return results.KINDS[model.task](np.zeros([*size, 3], np.uint8), found, model.info)

    servers.beside(folder, story)
    return answers


def checkpoint(experiment):
    """What export.verify compares with."""
    task, network, *_ = trained.restore(experiment, "latest")
    return CheckpointReader(task, network, experiment)


def differences(own, others, tolerance, metadata):
    """What is printed and judged of a way: the rows of export.verify's table."""
    each = []
    for one, other in zip(own, others, strict=True):
        exported = of_result(other)
        if "boxes" in one:
            each.append(compare.detections(one, exported, tolerance, metadata, other.size))
        else:
            each.append(compare.scores(one, exported) if "scores" in one else compare.label_maps(one, exported))
    return compare.table(compare.total(each), tolerance)


def same_as_the_command(found, model, run_folder, files, out):
    """Whether the command, in a process of its own, writes what the API finds, to the bit."""
    detects = model.task == "detection"
    least = [f"--min_score={model.min_score}", "--format=coco"] * detects
    run("tfrecog.predict", *files, f"--model={run_folder}", f"--out={out}", *least)
    if detects:
        written = json.loads((out / "detections.json").read_text())
        rows = [row for number, one in enumerate(found) for row in one.to_coco(number)]
        assert rows and [{key: row[key] for key in rows[0]} for row in written] == rows
        corrected = json.loads((out / "instances.json").read_text())["annotations"]
        assert [one["bbox"] for one in corrected] == [row["bbox"] for row in rows]
    elif model.task == "classification":
        for row, one in zip(json.loads((out / "predictions.json").read_text()), found, strict=True):
            assert [each["category_name"] for each in row["classes"]] == one.names[:5]
            assert [each["probability"] for each in row["classes"]] == [round(float(p), 6) for p in one.scores[:5]]
    else:
        ids = np.array([255, *(category.id for category in model.info.categories)])
        for row, one in zip(json.loads((out / "predictions.json").read_text())["images"], found, strict=True):
            np.testing.assert_array_equal(np.array(Image.open(out / row["label_map"])), ids[one.label_map])


@pytest.mark.parametrize("kind", representatives(KINDS, "classifier"))
def test_six_ways_give_one_answer(kind, pictures, shared_data, tmp_path):
    recipe, data, epochs, size = KINDS[kind]
    records(data, shared_data, tmp_path / "data")
    tfrecog.recipe(f"smoke/{recipe}", SHORT | {"schedule.epochs": epochs}).train(tmp_path / "run", tmp_path / "data")
    model = tfrecog.load(tmp_path / "run")
    least = {"min_score": model.experiment.detector.output.min_score} if model.task == "detection" else {}
    model = tfrecog.load(tmp_path / "run", **least)
    found = model.predict(pictures)
    same_as_the_command(found, model, tmp_path / "run", pictures, tmp_path / "seen")

    given = {"size": size, "input": "float32"}
    served = model.export("saved_model", tmp_path / "served")
    files = {kind: model.export(kind, tmp_path / f"model.{kind}", **given) for kind in ("tflite", "onnx")}
    ways = {"Python": found, "SavedModel": tfrecog.load(served, **least).predict(pictures)}
    ways |= of_server(tmp_path / "served", model, pictures, model.min_score)
    pixels = [one.picture for one in found]
    reader, metadata = checkpoint(model.experiment), vars(model.experiment.detector.output)
    own = [reader.predict(one) for one in pixels]
    tables = {way: differences(own, seen, compare.KINDS["SavedModel"], metadata) for way, seen in ways.items()}
    for kind_of_file, path in files.items():
        lite, still = READERS[path.suffix](path), checkpoint(graph.still(model.experiment))
        own = [still.on_canvas(lite, one) for one in pixels]
        seen = tfrecog.load(path, **least).predict(pictures)
        tables[kind_of_file] = differences(own, seen, compare.KINDS["ONNX"], metadata)
    for way, rows in tables.items():
        print(f"\n{kind}, {way}\n{compare.text_of(rows)}")
    assert len(tables) == 7 and all(row["fine"] for rows in tables.values() for row in rows), tables
