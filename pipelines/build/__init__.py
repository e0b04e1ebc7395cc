"""From items to TFRecord shards, an index and dataset.json: worker processes, atomic files, resuming, reports."""
