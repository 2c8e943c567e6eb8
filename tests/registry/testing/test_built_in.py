"""The kit over the built-in plugins."""

from __future__ import annotations

import pytest

from registry.registry import Registry
from registry.testing import conformance

with pytest.MonkeyPatch.context() as _environment:
    _environment.setenv("REGISTRY_PLUGINS", "")
    _environment.delenv("REGISTRY_DISABLED_PLUGINS", raising=False)
    _BUILT_IN = Registry()

test_classification = conformance("classification", registry=_BUILT_IN)
test_demo = conformance("demo", registry=_BUILT_IN)
test_mobilenet = pytest.mark.slow(conformance("mobilenet", registry=_BUILT_IN))
test_segmentation = pytest.mark.slow(conformance("segmentation", registry=_BUILT_IN))
test_detection = pytest.mark.slow(conformance("detection", registry=_BUILT_IN))
test_baselines = pytest.mark.slow(conformance("baselines", registry=_BUILT_IN))
