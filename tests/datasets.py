"""Folders of records as the pipelines make them."""

import tensorflow as tf

from tfrecog.data import info, records


def write(folder, shards, categories, split="val", **facts):
    """A folder with a split of lists of Records, one a shard; `facts` are of its dataset.json."""
    names = tuple(f"{split}-{i:05d}-of-{len(shards):05d}.tfrecord" for i in range(len(shards)))
    for name, shard in zip(names, shards, strict=True):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for record in shard:
                writer.write(records.encode(record))
    all_records = [record for shard in shards for record in shard]
    crowd = int(sum(record.crowd.sum() for record in all_records))
    instances = sum(len(record.labels) for record in all_records) - crowd
    splits = {split: info.SplitInfo(len(all_records), instances, crowd, names)}
    info.save(folder, info.DatasetInfo(tuple(categories), splits, **facts))
    return folder
