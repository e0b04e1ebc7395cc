"""A picture is one picture everywhere, however its EXIF data turn it and whatever its depth.

In records of every source, in tfrecog.predict, at the server, in a SavedModel that is sent bytes, and in a TFLite file.
"""

import base64
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export.served_graph import signatures
from export.server import pictures
from tests import photos, shown
from tests.export import commands, served_folders, servers, stand_in
from tests.matrices import representatives
from tests.pipelines import four_sources
from tfrecog import predict
from tfrecog.config import DataConfig, DetectorConfig, Experiment, OutputConfig
from tfrecog.data import image, image_numpy, info, records
from tfrecog.inference import image_files

EXPERIMENT = Experiment(
    data=DataConfig(eval_short_side=128, long_side=256), detector=DetectorConfig(output=OutputConfig(max_detections=4))
)


def _files(depth):
    """Files of one picture by name: of 8 bits in each kind and orientation, of more as TIFF and PNG, some turned."""
    if depth == "8 bits":
        turns = itertools.product(photos.KINDS, range(1, 9))
        return {f"{kind}_{turn}.{kind.lower()}": photos.turned(photos.upright(), turn, kind) for kind, turn in turns}
    values, kind, _ = photos.DEPTHS[depth]
    files = {f"TIFF_{turn}.tiff": photos.turned(values, turn, "TIFF") for turn in (1, 6)}
    if kind == "uint16":
        for turn in (1, 7):
            stored = photos.stored(values, turn)[..., None]
            files[f"gray_{turn}.png"] = photos.with_exif(tf.io.encode_png(stored).numpy(), turn)
            files[f"colours_{turn}.png"] = photos.with_exif(tf.io.encode_png(np.tile(stored, 3)).numpy(), turn)
    return files


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function: the folder of a depth, with each of its files in cat/, and an ox."""
    made = {}

    def of(depth):
        if depth not in made:
            made[depth] = root = tmp_path_factory.mktemp("photos")
            for name in ("cat", "ox"):
                (root / name).mkdir()
            for name, data in _files(depth).items():
                (root / "cat" / name).write_bytes(data)
            (root / "ox" / "ox_1.png").write_bytes(photos.file(photos.upright()))
        return made[depth]

    return of


def _ranges(depth):
    return {} if depth == "8 bits" else {photos.DEPTHS[depth][1]: photos.DEPTHS[depth][2]}


class Finder(shown.RedFinder):
    """A task whose model finds the object."""

    where = staticmethod(photos.is_object)

    def __init__(self, **facts):
        self.info = dataclasses.replace(shown.RedFinder.info, **facts)


class ServedFinder(served_folders.RedFinder):
    where = staticmethod(photos.is_object)


def _found(outputs, size="image_size"):
    return tuple(outputs[size]), outputs["detection_boxes"][0]


def _by_predict(paths, facts, folder):
    experiment = dataclasses.replace(EXPERIMENT, detector=dataclasses.replace(EXPERIMENT.detector, masks=True))
    assert not shown.write(Finder(**facts), experiment, paths, folder)
    return _of_rows(folder)


def _of_rows(folder):
    found = {}
    for row in json.loads((folder / "detections.json").read_text()):
        x, y, width, height = row["bbox"]
        found[row["file_name"]] = tuple(row["segmentation"]["size"]), [y, x, y + height, x + width]
    return found


def _by_server(paths, facts, folder):
    served_folders.write(folder, ServedFinder(), "detection", **facts)
    instances, found = [{"b64": base64.b64encode(path.read_bytes()).decode()} for path in paths], []
    servers.beside(folder, lambda server: found.extend(server.predict(instances)))
    return {str(path): _found(one) for path, one in zip(paths, found, strict=True)}


def _by_signature(paths, facts, folder):
    """A graph has no decoder of TIFF."""
    given = signatures.signatures(Finder(**facts), None, EXPERIMENT, "squares", "machine")[signatures.BYTES]
    call = tf.function(given.call, input_signature=given.inputs, autograph=False)
    decoded, found = [path for path in paths if path.suffix != ".tiff"], {}
    for path in {*paths} - {*decoded}:
        with pytest.raises(tf.errors.InvalidArgumentError, match="Send it as one of these, or its pixels"):
            call(tf.constant([path.read_bytes()]))
    if decoded:
        outputs = call(tf.constant([path.read_bytes() for path in decoded]))
        for number, path in enumerate(decoded):
            found[str(path)] = _found({name: value.numpy()[number] for name, value in outputs.items()})
    return found


def _by_tflite(paths, facts, folder):
    model = stand_in.red_finder(folder / "model.tflite", (96, 128), photos.is_object, **facts)
    commands.run(predict, model=model, images=paths[0].parent, out=folder)
    return _of_rows(folder)


READERS = {
    "predict": _by_predict,
    "server": _by_server,
    "bytes of a SavedModel": _by_signature,
    "TFLite file": _by_tflite,
}
CASES = [*itertools.product(["8 bits", *photos.DEPTHS], READERS)]


@pytest.mark.parametrize(
    ("depth", "reader"),
    representatives(CASES, *(case for case in CASES if case[0] in ("8 bits", "12 bits"))),
)
def test_the_box_of_the_object_is_in_the_pixels_of_the_picture_upright(depth, reader, folder_of, tmp_path):
    paths = sorted((folder_of(depth) / "cat").iterdir())
    seen = READERS[reader](paths, {"pixel_ranges": _ranges(depth)}, tmp_path)
    refused = [path for path in paths if reader.startswith("bytes") and path.suffix == ".tiff"]
    assert seen.keys() == {str(path) for path in paths if path not in refused}
    for path, (size, box) in seen.items():
        assert size == (photos.HEIGHT, photos.WIDTH), path
        # A pixel of the file becomes 3.5 or more, and its edge is blurred over one of them.
        np.testing.assert_allclose(box, photos.BOX, atol=0.5, err_msg=path)


@pytest.mark.parametrize("reader", READERS)
def test_of_a_data_set_of_pictures_as_files_store_them_the_box_is_in_the_pixels_of_the_file(
    reader, folder_of, tmp_path
):
    paths = sorted((folder_of("8 bits") / "cat").iterdir())
    for path, (size, box) in READERS[reader](paths, {"orientation": "file"}, tmp_path).items():
        expected, sides = four_sources.as_stored(Path(path))
        assert size == sides, path
        np.testing.assert_allclose(box, expected, atol=0.5, err_msg=path)


@pytest.mark.parametrize("depth", ["8 bits", *photos.DEPTHS])
@pytest.mark.parametrize("source", four_sources.SOURCES)
def test_records_have_the_pixels_that_prediction_and_a_server_see_and_boxes_on_the_objects(
    source, depth, folder_of, tmp_path
):
    found = four_sources.records(source, folder_of(depth), tmp_path / "out")
    facts = info.load(tmp_path / "out")
    assert facts.pixel_ranges == _ranges(depth) and facts.orientation == "upright"
    for path in sorted((folder_of(depth) / "cat").iterdir()):
        record, seen = found[path.name], image_files.load(path, facts.reading)
        np.testing.assert_array_equal(image.decode(record.encoded), seen, path.name)
        np.testing.assert_array_equal(pictures.of("the body", path.read_bytes(), 1).decode(facts.reading), seen)
        expected = photos.upright() if depth == "8 bits" else photos.GRAY[..., None]
        assert np.abs(seen.astype(int) - expected).max() <= 12 * (path.suffix == ".jpeg"), path.name
        if source != "folders":
            np.testing.assert_allclose(record.boxes, [photos.BOX], atol=1e-5, err_msg=path.name)


@pytest.mark.parametrize("source", [source for source in four_sources.SOURCES if source != "folders"])
def test_a_file_annotated_as_it_is_stored_keeps_its_pixels_and_its_boxes(source, folder_of, tmp_path):
    """--orientation=file: the annotations are of the file's own pixels, and so is the record."""
    root = folder_of("8 bits")
    found = four_sources.records(source, root, tmp_path / "out", four_sources.as_stored, orientation="file")
    for name, record in found.items():
        y1, x1, y2, x2 = np.rint(record.boxes[0]).astype(int)
        assert image_numpy.opened(record.encoded).orientation == 1, name  # Viewers of it show what was annotated.
        red = photos.is_object(image.decode(record.encoded).numpy())
        assert red[y1:y2, x1:x2].all() and red.sum() == (y2 - y1) * (x2 - x1), name
    assert info.load(tmp_path / "out").orientation == "file"
    signature = signatures.signatures(Finder(), None, EXPERIMENT, "squares", "machine")[signatures.EXAMPLES]
    call = tf.function(signature.call, input_signature=signature.inputs, autograph=False)
    outputs = call(tf.constant([records.encode(one) for one in found.values()]))
    for size, boxes, record in zip(outputs["image_size"], outputs["detection_boxes"], found.values(), strict=True):
        np.testing.assert_array_equal(size, [record.height, record.width])  # An example is seen as it is stored, too.
        np.testing.assert_allclose(boxes[0], record.boxes[0], atol=0.5, err_msg=record.filename)
