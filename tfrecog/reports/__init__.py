"""The report of an evaluation: one self-contained page for people, with numbers, curves and pictures."""
