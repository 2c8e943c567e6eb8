"""The conformance kit: what every part and document of a plugin must do, as tests that a plugin's author calls in three lines.

    from registry.testing import conformance

    test_conformance = conformance("my_plugin")

Importing this imports neither torch nor pytest.
"""

from __future__ import annotations

from registry.testing.api import check_part, conformance, run_checks
from registry.testing.outcome import ConformanceError, Outcome

__all__ = ["ConformanceError", "Outcome", "check_part", "conformance", "run_checks"]
