"""Files of weights as NumPy arrays, read without executing anything in them, and their download."""
