"""What can be wrong with what an exported model says."""


class Contradiction(ValueError):
    """Results of an exported model do not fit each other, or its metadata."""
