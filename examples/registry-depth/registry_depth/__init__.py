"""Monocular depth for Vision Registry: a task, a head for any backbone, a data set, and models."""
