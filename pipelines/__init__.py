"""Raw datasets → TFRecord shards, an index and dataset.json. Each module here is a command, except the parts they share."""
