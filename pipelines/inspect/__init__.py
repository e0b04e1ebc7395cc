"""What is in a split, and what is probably wrong with it: statistics, suspicious annotations, pictures."""
