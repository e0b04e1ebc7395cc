"""Exported models compared with the checkpoint they were made from."""
