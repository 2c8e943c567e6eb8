"""Training and evaluating: the loop, its checkpoints, and the verbs `train` and `evaluate`."""
