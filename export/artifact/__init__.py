"""What every exported file has: its metadata, and how it is found and loaded."""
