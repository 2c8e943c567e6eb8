from registry.cli.replacing import *  # noqa
