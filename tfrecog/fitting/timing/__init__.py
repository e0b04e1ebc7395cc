"""The time of a fit: what a step takes, measured in a process of its own, and a training that keeps to its budget."""
