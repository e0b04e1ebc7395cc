"""From items to TFRecord shards, an index and dataset.json: processes or Beam, atomic files, resuming, reports."""
