"""The training step, optimizers, schedules, the moving average of the weights, and what a person sees of it."""
