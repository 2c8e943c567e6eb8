"""How diagnostics and tables look: one renderer a file."""
