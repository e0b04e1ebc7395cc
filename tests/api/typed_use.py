"""What a type checker, and so an editor, knows of a program that uses the library; `make check` has pyright read it."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from PIL.Image import Image

import tfrecog

Result = tfrecog.DetectionResult | tfrecog.ClassificationResult | tfrecog.SegmentationResult


def use() -> None:
    model = tfrecog.load("runs/mine", min_score=0.3)
    assert_type(model, tfrecog.Model)
    assert_type(model.names, tuple[str, ...])
    one = model.predict("street.jpg")
    assert_type(one, Result)
    assert_type(model.predict([np.zeros([2, 2, 3], np.uint8), "street.jpg"]), list[Result])
    assert_type(one.draw(), Image)
    assert_type(one.names, list[str])
    assert_type(one.to_dict(), dict[str, Any])
    if isinstance(one, tfrecog.DetectionResult):
        assert_type(one.boxes, np.ndarray)
        assert_type(one.masks, np.ndarray | None)
        assert_type(one.to_coco(), list[dict[str, Any]])
        assert_type(one.above(0.7), tfrecog.DetectionResult)
    for frame in model.stream("film.mp4", every=10):
        assert_type(frame, Result)
    numbers: dict[str, float] = model.evaluate("data", split="val")
    assert_type(numbers["box_AP"], float)
    assert_type(model.export("tflite", "mine.tflite", size="320x320"), Path)
    assert_type(model.keras_model.count_params() > 0, Any)
    recipe = tfrecog.recipe("coco/mask_rcnn_r50_fpn", {"schedule.epochs": 5})
    assert_type(recipe, tfrecog.Recipe)
    numbers = recipe.train("runs/mine", "data")
    try:
        tfrecog.write_records([{"picture": "a.jpg", "label": "cat"}], ["cat"], "data")
    except tfrecog.UserError as error:
        assert_type(error, tfrecog.UserError)
    assert_type(tfrecog.__version__, str)
