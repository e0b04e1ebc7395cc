"""Calls everything public of the Python interface, once all modules of commands are imported.

python tests/api/every_function.py FOLDER COMMAND,COMMAND,...; a test runs it in a kernel of Jupyter, too.
"""

import importlib
import inspect
from functools import cached_property
from pathlib import Path

import numpy as np

import tfrecog


def run(folder: str, commands: list[str]) -> None:
    """Calls everything, and raises what fails; AssertionError names what is public and was not called."""
    for name in commands:
        importlib.import_module(name)
    here, called = Path(folder), {}
    called["tfrecog"] = _functions(here)
    recipe = tfrecog.recipe("smoke/classifier_digits", {"schedule.epochs": 1.0, "data.batch_size": 8})
    taken = []
    recipe.train(here / "run", here / "data", on_step=lambda step, terms: taken.append(step))
    assert taken == [1]
    called["Recipe"] = {"train", "experiment"}
    model = tfrecog.load(here / "run")
    called["Model"], result = _model(model, here)
    called["ClassificationResult"] = _touched(result, {})
    detections, segments = _other_results(result)
    called["DetectionResult"] = _touched(detections, {"above": (0.5,)})
    called["SegmentationResult"] = _touched(segments, {})
    for name, names in called.items():
        kind = tfrecog if name == "tfrecog" else getattr(tfrecog, name)
        missing = _public(kind) - names
        assert not missing, f"{name}: {sorted(missing)} were not called"
    print("all called")


def _functions(here: Path) -> set[str]:
    samples = [{"picture": np.full([28, 28, 3], 20 * i, np.uint8), "label": 1 + i % 2} for i in range(8)]
    for split in ("train", "val"):
        assert tfrecog.write_records(samples, ["even", "odd"], here / "data", split).split.images == 8
    assert tfrecog.version() == tfrecog.__version__ and issubclass(tfrecog.UserError, ValueError)
    return {*tfrecog.__all__, "version"}


def _model(model, here: Path) -> tuple[set[str], object]:
    picture = np.zeros([40, 30, 3], np.uint8)
    result = model.predict(picture)
    (streamed,) = model.stream([picture])
    assert streamed.names == result.names == model(picture).names and set(result.names) == set(model.names)
    assert "top1" in model.evaluate() and model.keras_model.count_params() > 0
    for kind in ("saved_model", "tflite", "onnx"):
        exported = tfrecog.load(model.export(kind, here / f"model.{kind}"))
        np.testing.assert_allclose(exported.predict(picture).probabilities, result.probabilities, atol=1e-4)
    assert model.task == "classification"
    return {"predict", "stream", "evaluate", "keras_model", "export", "names", "task"}, result


def _other_results(result) -> tuple:
    """Results of a detector and a segmenter for the same picture, made by hand."""
    from tfrecog.inference.result_files import Detections
    from tfrecog.ops import rle

    mask = np.ones(result.size, bool)
    coded = rle.to_coco(rle.encode(mask), *mask.shape)
    detections = Detections(
        0,
        0,
        result.size,
        np.array([[2.0, 3, 20, 21]]),
        np.array([1], np.int32),
        np.array([0.9], np.float32),
        [coded],
        None,
    )
    segments = np.arange(mask.size).reshape(mask.shape).astype(np.uint8) % 3
    kinds = ((tfrecog.DetectionResult, detections), (tfrecog.SegmentationResult, segments))
    return tuple(kind(result.picture, found, result.info) for kind, found in kinds)


def _touched(result, arguments: dict) -> set[str]:
    """Reads everything public of a result, and calls what can be called."""
    for name in _public(type(result)):
        value = getattr(result, name)
        if inspect.ismethod(value):
            try:
                value(*arguments.get(name, ()))
            except tfrecog.UserError as error:
                assert name == "to_supervision" and "supervision is missing" in str(error), error
    assert repr(result) and result._repr_png_()
    return _public(type(result))


def _public(kind) -> set[str]:
    """Public functions, and of a class methods and properties."""
    members = inspect.getmembers(
        kind, lambda one: inspect.isroutine(one) or isinstance(one, property | cached_property)
    )
    return {name for name, _ in members if not name.startswith("_")}


if __name__ == "__main__":
    import sys

    run(sys.argv[1], sys.argv[2].split(","))
