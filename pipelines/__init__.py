"""Raw datasets → TFRecord shards, an index and dataset.json. Commands, and the parts they share."""
