"""What every exported model has: its metadata."""
