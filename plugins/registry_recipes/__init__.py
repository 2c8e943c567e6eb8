"""Recipes: how a model is trained, as data, and the optimizers, schedules, averages and augmentations that they name."""
