"""torch modules that the parts of several plugins share. The only package of the core that imports torch at once."""
