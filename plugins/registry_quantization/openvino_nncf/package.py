"""NNCF imported without traces: its import sends usage figures, changes what loggers are, and keeps the current output."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from registry_export.common import quiet
from registry_export.engines import require

#: Variable that tells NNCF to send no figures.
_SILENT = "NNCF_CI"


def nncf() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    if "nncf" in sys.modules:
        return _required()
    kind, silent = logging.getLoggerClass(), os.environ.get(_SILENT)
    os.environ[_SILENT] = "1"
    try:
        with quiet():
            found = _required()
    finally:
        logging.setLoggerClass(kind)
        if silent is None:
            del os.environ[_SILENT]
        else:
            os.environ[_SILENT] = silent
    for handler in logging.getLogger("nncf").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stdout)
    return found


def _required() -> Any:
    return require("nncf", "quantize", "quantizing for OpenVINO")
