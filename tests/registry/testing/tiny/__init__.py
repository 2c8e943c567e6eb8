"""A whole plugin for tests, copied to a folder of its own and broken there on purpose."""
