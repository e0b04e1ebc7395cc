"""Images for the laboratory, as a network sees them: photos, or records with what is true of them."""

from collections.abc import Iterator
from pathlib import Path

from tfrecog.cli.errors import UserError
from tfrecog.config import DataConfig
from tfrecog.data import image as images
from tfrecog.data import index, info, records
from tfrecog.equivariance_lab.model_under_test import ModelUnderTest, Sample
from tfrecog.inference import image_files


def of_photos(model: ModelUnderTest, pattern: str, most: int) -> Iterator[Sample]:
    """Yields the first `most` photos that a pattern names; an OSError names one that cannot be read."""
    for path in image_files.find(pattern)[:most]:
        yield Sample(model.resize(image_files.load(path)), Path(path).name)


def of_records(model: ModelUnderTest, data: DataConfig, names: tuple[str, ...], most: int) -> Iterator[Sample]:
    """Yields the first `most` images of `data.eval_split` with their truth, whose classes are to have those names."""
    folder, split = data.records, data.eval_split
    dataset, rows = info.load(folder), index.load(folder, split)
    if dataset.names != names:
        raise UserError(
            f"--data.records={folder}: its {len(dataset.names)} classes are not the {len(names)} of the run, in its "
            "order; give records of those, or photos: --images='photos/*.jpg'"
        )
    if not len(rows):
        raise UserError(f"--data.eval_split={split} of {folder} has no image")
    truth_of = model.truths(folder, dataset, rows)
    for row in range(min(most, len(rows))):
        record = dataset.relabel(records.decode(index.read(folder, rows, row)))
        image = model.resize(images.decode(record.encoded).numpy())
        yield Sample(image, record.filename or f"record {row}", *truth_of(row, record, image.shape[:2]))
