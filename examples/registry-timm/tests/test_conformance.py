"""What every plugin must do."""

from __future__ import annotations

import pytest

from registry.testing import conformance

test_conformance = pytest.mark.slow(conformance("timm"))
