"""The errors a user can meet, and the one warning category.

Every message says what is wrong, where, and what to write instead. The command line prints these without a traceback; anything
else that escapes is a fault of this package.
"""

from __future__ import annotations


class RegistryError(Exception):
    """Base of every error that a spec, an image, a weights file, a plugin or a call can cause."""


class UnknownNameError(RegistryError, LookupError):
    """A name that nothing installed provides; the message lists the nearest names."""


class ConflictError(RegistryError):
    """A name that several distributions provide; the message lists each and says how to choose."""


class PluginError(RegistryError):
    """A plugin that cannot be loaded, or a part whose code cannot be imported."""


class DataNotNamedError(RegistryError):
    """A data set whose files lie nobody said where: a mistake of a command, and no fault of the data set's part."""


class MissingExtraError(RegistryError, ImportError):
    """Something asked for needs packages of an extra that is not installed.

    Args:
        what: what needs them, for instance "building a model".
        extra: the extra of this distribution that brings them.
        package: the package that could not be imported.
    """

    def __init__(self, what: str, extra: str, package: str) -> None:
        super().__init__(
            f"{what} needs the package `{package}`; install it with: pip install 'vision-registry[{extra}]'"
        )
        self.extra = extra
        self.package = package


class WeightsError(RegistryError):
    """A weights reference, file or state dict that cannot be used; nothing was loaded."""


class ImageError(RegistryError):
    """An image file that cannot be read as one right picture."""


class RegistryWarning(UserWarning):
    """Something worth knowing that does not stop the work, such as a classifier that starts anew."""
