"""Settings of the R-CNN family, a file for each part of a detector."""
