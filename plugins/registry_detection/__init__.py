"""Detection: boxes with labels and scores."""
