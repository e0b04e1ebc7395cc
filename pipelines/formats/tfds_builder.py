"""Builders of TensorFlow Datasets: their data, prepared, and the places of the examples of a split."""

import os
import sys

import tensorflow_datasets as tfds

from ..build.problems import Refused

_ALIASES = {"val": ("validation", "valid", "dev", "test"), "validation": ("val",)}


def prepared(name: str, data_dir: str = "", manual_dir: str = ""):
    """The builder of that name (or folder), its data downloaded and prepared; Refused says what to do."""
    prepared_folder = os.path.isdir(name)
    if not prepared_folder and name.startswith((".", "/", "~")):
        raise Refused(f"there is no folder {name}; give that of the prepared data, with dataset_info.json in it")
    try:
        builder = (
            tfds.builder_from_directory(name) if prepared_folder else tfds.builder(name, data_dir=data_dir or None)
        )
    except tfds.core.DatasetNotFoundError as error:
        where = "https://www.tensorflow.org/datasets/catalog lists them"
        raise Refused(f"TensorFlow Datasets has no builder {name!r} ({where}), and there is no such folder") from error
    except (ValueError, KeyError, AssertionError, OSError) as error:
        raise Refused(f"--builder={name} cannot be used: {_short(error)}") from error
    if prepared_folder or builder.is_prepared():
        return builder
    # It makes ten more attempts, with pauses of 204 s in all. No server is asked before: where the data lie, and by
    # what proxy they are reached, only the builder knows.
    what = "without a network it gives up after more than 3 minutes"
    print(f"{builder.info.full_name} is not yet in {builder.data_path}: preparing it ({what})", file=sys.stderr)
    try:
        config = tfds.download.DownloadConfig(manual_dir=manual_dir or None)
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # Each of the 1,300 builders has its own.
        if isinstance(error, AssertionError):  # of builders that want files
            what = "put the files that it needs into --manual_dir, and run the same command again"
        else:
            what = (
                "without a network, prepare it on another machine, and give its folder as --data_dir or --builder. The "
                "same command tries again"
            )
        raise Refused(f"TensorFlow Datasets cannot prepare {name}: {_short(error)}\n{what}") from error
    return builder


def _short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".strip()
    return text if len(text) < 1000 else text[:1000] + " ..."


def places(builder_info, split: str, source: str) -> tuple[str, list[int], int]:
    """Name of a split of the builder, places of the examples in it, and about how many bytes they are."""
    available = builder_info.splits
    if not source:
        source = next((name for name in (split, *_ALIASES.get(split, ())) if name in available), split)
    try:
        parts = tfds.core.ReadInstruction.from_spec(source).to_absolute(available)
        (name,) = {part.splitname for part in parts}
        whole = available[name]
    except (KeyError, ValueError, AssertionError) as error:
        what = f"{builder_info.full_name} has no split {source!r}"
        raise Refused(f"{what}; it has {', '.join(available)}. Name one, or a part, with --source_split.") from error
    ends = [(part.from_ or 0, whole.num_examples if part.to is None else part.to) for part in parts]
    numbers = [number for first, end in ends for number in range(first, end)]
    if not numbers:
        raise Refused(f"{source!r} of {builder_info.full_name} has no example")
    return name, numbers, int(whole.num_bytes) * len(numbers) // whole.num_examples
