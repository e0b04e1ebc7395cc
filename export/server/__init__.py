"""The parts of `export.serve`: requests, batches of pictures for the model, and responses."""
