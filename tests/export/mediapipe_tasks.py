"""What the stock Tasks of MediaPipe see, for an interpreter that has mediapipe, as TensorFlow's may not.

python mediapipe_tasks.py TASK MODEL IN.npz OUT.npz

TASK is detector, segmenter or classifier. IN has pictures uint8 [H, W, 3] RGB by name, or files of pictures as texts,
and `rotation`, degrees clockwise to turn them upright. OUT has of each, as NAME/..., what the Task found:

  detector    boxes int [n, 4] (y1, x1, y2, x2), names [n], scores [n]
  segmenter   category uint8 [H, W], confidence [K, H, W]; and once `labels`
  classifier  names [K], indices [K], scores [K], by falling score
  embedder    values [N], of a model that gives its input back: the very pixels that a Task sees

or `error`, why the Task refuses the file.
"""

import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main(task, model, given, out):
    """Runs a Task on pictures."""
    pictures = dict(np.load(given))
    turned = vision.ImageProcessingOptions(rotation_degrees=int(pictures.pop("rotation", 0)))
    found = {}
    try:
        see = _TASKS[task](BaseOptions(model_asset_path=model), found)
        for name, picture in pictures.items():
            if picture.dtype == np.uint8:
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            else:
                image = mediapipe.Image.create_from_file(str(picture))
            found |= {f"{name}/{what}": value for what, value in see(image, turned).items()}
    except (OSError, RuntimeError, ValueError) as error:
        found = {"error": str(error)}
    np.savez(out, **found)


def _detector(base, _):
    task = vision.ObjectDetector.create_from_options(vision.ObjectDetectorOptions(base_options=base))

    def see(image, turned):
        rows = [
            (one.bounding_box, category)
            for one in task.detect(image, turned).detections
            for category in one.categories  # of a box that two classes have to the pixel
        ]
        boxes = [(box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width) for box, _ in rows]
        return {"boxes": np.array(boxes, int).reshape(-1, 4)} | _named([category for _, category in rows])

    return see


def _segmenter(base, found):
    options = vision.ImageSegmenterOptions(base_options=base, output_category_mask=True, output_confidence_masks=True)
    task = vision.ImageSegmenter.create_from_options(options)
    found["labels"] = np.array(task.labels)

    def see(image, turned):
        result = task.segment(image, turned)
        confidence = np.stack([np.squeeze(mask.numpy_view()) for mask in result.confidence_masks])
        return {"category": np.squeeze(result.category_mask.numpy_view()).copy(), "confidence": confidence}

    return see


def _classifier(base, _):
    task = vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base))
    return lambda image, turned: _named(task.classify(image, turned).classifications[0].categories)


def _embedder(base, _):
    task = vision.ImageEmbedder.create_from_options(vision.ImageEmbedderOptions(base_options=base))
    return lambda image, turned: {"values": np.array(task.embed(image, turned).embeddings[0].embedding)}


def _named(categories):
    return {
        "names": np.array([one.category_name or "" for one in categories], str),
        "indices": np.array([-1 if one.index is None else one.index for one in categories], int),
        "scores": np.array([one.score for one in categories], float),
    }


_TASKS = {"detector": _detector, "segmenter": _segmenter, "classifier": _classifier, "embedder": _embedder}

if __name__ == "__main__":
    main(*sys.argv[1:])
