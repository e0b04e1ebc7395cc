"""Proposals without a network: selective search, and a grid of sliding windows."""
