"""What `tfrecog.fit` does: looks at data and machine, chooses a training, measures it, and keeps to its time."""
