"""What trained networks make of variations of their input: equivariance, invariance, and what is lost of accuracy."""
