"""What every plugin must do: each part through the documents that use it."""

from __future__ import annotations

from registry.testing import conformance

test_conformance = conformance("centernet")
