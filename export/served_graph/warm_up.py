"""Pictures that a server lets a version see before it answers: requests in the file that TensorFlow Serving reads."""

import io
from collections import Counter
from pathlib import Path

from PIL import Image

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import frames, image_numpy, index

from ..artifact import metadata
from ..messages import prediction_pb2 as pb

FILE = "tf_serving_warmup_requests"  # a TFRecord of `PredictionLog`, each a request of `serving_default`
DEFAULT = (240, 320)  # height and width, where nothing is known of a run's data
_MOST, _LONGEST = 3, 2048  # pictures, and pixels of a side


def write(version: Path, model_name: str, experiment: Experiment) -> None:
    """Adds the file to a SavedModel's folder: a gray picture of each of the commonest sizes of a run's data."""
    with files.write(version / metadata.EXTRA / FILE, "wb") as file:
        for height, width in _sizes_of_run(experiment):
            picture = io.BytesIO()
            Image.new("RGB", (width, height), (128, 128, 128)).save(picture, "PNG")
            tensor = pb.TensorProto(
                dtype="DT_STRING", tensor_shape={"dim": [{"size": 1}]}, string_val=[picture.getvalue()]
            )
            spec = pb.ModelSpec(name=model_name, signature_name="serving_default")
            request = pb.PredictRequest(model_spec=spec, inputs={"image_bytes": tensor})
            log = pb.PredictionLog(predict_log=pb.PredictLog(request=request))
            file.write(frames.pack(log.SerializeToString(deterministic=True)))


def _sizes_of_run(experiment: Experiment) -> list[tuple[int, int]]:
    """The commonest heights and widths of the pictures that a run is evaluated on."""
    try:
        known = index.load(experiment.data.records, experiment.data.eval_split)
    except (OSError, UserError):
        return [DEFAULT]
    counted = Counter(zip(known.height.tolist(), known.width.tolist(), strict=True))
    common = [size for size, _ in counted.most_common() if max(size) <= _LONGEST]
    return common[:_MOST] or [DEFAULT]


def sizes(version: Path) -> list[tuple[int, int]]:
    """Heights and widths of the pictures in the file of a SavedModel's folder; DEFAULT alone if it has none."""
    path = version / metadata.EXTRA / FILE
    if not path.is_file():
        return [DEFAULT]
    found = []
    for _, record in frames.read(path):
        tensors = pb.PredictionLog.FromString(record).predict_log.request.inputs
        for content in tensors["image_bytes"].string_val:
            width, height = image_numpy.header(content).size
            if max(width, height) <= _LONGEST:
                found.append((height, width))
    return found[:_MOST] or [DEFAULT]
