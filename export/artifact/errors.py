"""What can be wrong with what an exported model says."""

from tfrecog.cli.errors import UserError


class Contradiction(UserError):
    """Results of an exported model do not fit each other, or its metadata."""
