"""What is done with the results of each task: written as files, drawn, said in words; without TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfrecog.data.info import DatasetInfo
from tfrecog.inference import image_files, result_files

_MOST = 5  # classes that words name


class Form(NamedTuple):
    """What is done with the results of a task.

    Attributes:
        write: (info, paths, out, images, min_side), where `images` are numbers in `paths`, pictures and their results.
        files: (paths, out) → where it writes the picture of each; UserError if it cannot.
        written: the names of the files.
        words: (info, result) → what is seen in a picture, in a line.
    """

    write: Callable[..., Any]
    files: Callable[[list[Path], Path], list[Path]]
    written: str
    words: Callable[[DatasetInfo, Any], str]


def words_of_detections(info: DatasetInfo, found: result_files.Detections) -> str:
    """How many objects of each class, the most certain first, with their scores."""
    scores: dict[int, list[float]] = {}
    for label, score in zip(found.labels.tolist(), found.scores.tolist(), strict=True):
        scores.setdefault(label, []).append(score)
    classes = [f"{len(some)} {info.names[label - 1]} ({_span(some)})" for label, some in scores.items()]
    more = f" and {len(classes) - _MOST} more class{'es' * (len(classes) > _MOST + 1)}" if len(classes) > _MOST else ""
    count = len(found.labels)
    return f"{count} detection{'s' * (count != 1)}{': ' * bool(count)}{', '.join(classes[:_MOST])}{more}"


def _span(scores):
    return f"{scores[0]:.0%}" if len(scores) == 1 else f"{scores[0]:.0%} to {scores[-1]:.0%}"


def words_of_classes(info: DatasetInfo, probabilities: np.ndarray) -> str:
    """The best classes of probabilities [K]."""
    rows = result_files.best(info, probabilities)[:3]
    return ", ".join(f"{row['category_name']} {row['probability']:.1%}" for row in rows)


def words_of_label_map(info: DatasetInfo, labels: np.ndarray) -> str:
    """The largest classes in labels [H, W]."""
    rows = result_files.shares(info, labels)[:_MOST]
    return ", ".join(f"{row['category_name']} {row['share']:.0%}" for row in rows) or "none of the classes"


FORMS = {
    "detection": Form(
        result_files.write_detections,
        image_files.picture_paths,
        f"pictures and {result_files.DETECTIONS}",
        words_of_detections,
    ),
    "classification": Form(
        result_files.write_classes,
        image_files.picture_paths,
        f"pictures and {result_files.PREDICTIONS}",
        words_of_classes,
    ),
    "segmentation": Form(
        result_files.write_label_maps,
        lambda paths, out: result_files.label_map_paths(paths, out)[0],
        f"pictures, {result_files.LABEL_MAPS} and {result_files.PREDICTIONS}",
        words_of_label_map,
    ),
}
