"""The folder of a run: its settings, checkpoints, and what a new run takes from another."""
