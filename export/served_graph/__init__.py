"""The graph of a SavedModel: encoded images in, results in pixels of those images out."""
