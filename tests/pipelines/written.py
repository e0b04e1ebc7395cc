"""Records that a test makes itself, as a split."""

import hashlib
from types import SimpleNamespace

from pipelines.build import engines, shards
from tfrecog.data import records


def write(folder, dataset, made, split="train", shard_count=1):
    """Writes Records as a split of a dataset of which no split is told; returns the folder."""

    def item(record):
        digest = hashlib.sha256(records.encode(record)).hexdigest()
        return SimpleNamespace(name=record.filename, fingerprint=lambda: digest, record=record)

    source = shards.Source([*map(item, made)], lambda item: (item.record, []), dataset, 0)
    shards.build(source, str(folder), split, shards=shard_count, engine=engines.Processes(1))
    return str(folder)
