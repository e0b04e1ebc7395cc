"""Proposals without a network: selective search, and sliding windows of dataset.json."""
