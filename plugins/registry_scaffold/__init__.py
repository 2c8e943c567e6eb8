"""The verb `new-plugin`: a distribution to start a plugin of one's own from, with tests that pass at once."""
