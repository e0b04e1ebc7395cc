"""Networks as Keras layers and models."""
