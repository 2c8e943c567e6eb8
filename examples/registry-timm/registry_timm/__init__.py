"""Backbones of timm (PyTorch Image Models) as parts of the Vision Registry."""
