"""tfrecog from Python: a trained model of any kind of file, and what it sees."""
