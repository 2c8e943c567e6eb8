"""Where weights come from, and reading them. Importing this imports neither torch nor torchvision."""

from __future__ import annotations

from registry.weights.cache import cache_folder
from registry.weights.choice import Choice, WeightsRequest, choose, choose_backbone
from registry.weights.digest import sha256_of, verify_sha256
from registry.weights.fetch import locate, located
from registry.weights.reader import read_metadata, read_state_dict
from registry.weights_reference import HubFile, LocalFile, Reference, TorchvisionEntry, parse_reference

__all__ = [
    "Choice",
    "HubFile",
    "LocalFile",
    "Reference",
    "TorchvisionEntry",
    "WeightsRequest",
    "cache_folder",
    "choose",
    "choose_backbone",
    "locate",
    "located",
    "parse_reference",
    "read_metadata",
    "read_state_dict",
    "sha256_of",
    "verify_sha256",
]
