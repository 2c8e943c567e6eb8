"""Searching the settings of recipes."""
