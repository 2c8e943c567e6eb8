"""Export targets: a model as a file that other engines run."""
