"""What leaves the house: SavedModels that servers load and TFLite files that phones load."""
