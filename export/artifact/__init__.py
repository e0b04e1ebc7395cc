"""What exported models have in common: metadata, the way of a photo to a model and back, and the form of results."""
