"""Fully convolutional networks (Long et al. 2015)."""
