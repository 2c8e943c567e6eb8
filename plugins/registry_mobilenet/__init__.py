"""MobileNetV3 backbones, built from rows of a block table."""
