"""`registry benchmark`: models and exported files timed against each other on the same cores."""
