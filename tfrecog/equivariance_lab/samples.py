"""Images for the laboratory, as a network sees them: photos, or records with what is true of them."""

from collections.abc import Iterator
from pathlib import Path

from tfrecog.cli.errors import UserError
from tfrecog.config import DataConfig
from tfrecog.data import image as images
from tfrecog.data.split import Split
from tfrecog.equivariance_lab.model_under_test import ModelUnderTest, Sample
from tfrecog.inference import image_files


def of_photos(model: ModelUnderTest, pattern: str, most: int) -> Iterator[Sample]:
    """Yields the first `most` photos that a pattern names; an OSError names one that cannot be read."""
    for path in image_files.find(pattern)[:most]:
        yield Sample(model.resize(image_files.load(path)), Path(path).name)


def of_records(model: ModelUnderTest, data: DataConfig, names: tuple[str, ...], most: int) -> Iterator[Sample]:
    """Yields the first `most` images of `data.eval_split` with their truth, whose classes are to have those names."""
    split = Split.open(data.records, data.eval_split)
    if split.info.names != names:
        raise UserError(
            f"--data.records={split.folder}: its {split.info.num_classes} classes are not the {len(names)} of the run, "
            "in its order; give records of those, or photos: --images='photos/*.jpg'"
        )
    if not len(split):
        raise UserError(f"--data.eval_split={split.name} of {split.folder} has no image")
    truth_of = model.truths(split)
    for row in range(min(most, len(split))):
        record = split.truth(row)
        image = model.resize(images.decode(record.encoded).numpy())
        yield Sample(image, record.filename or f"record {row}", *truth_of(row, record, image.shape[:2]))
