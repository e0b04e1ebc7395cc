"""TFRecords to batches: the schema of a record, the index, the order of images, augmentation, each task's batches."""
