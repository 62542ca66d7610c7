"""Every error that lorajax raises for a person to read.

An error has one line that says what was expected and what was found, and a hint
that says what to do. Front ends print the two; the cause stays on the exception
(`raise ... from error`) for developers.
"""


class LorajaxError(Exception):
    """A failure that a person can understand and usually mend.

    Args:
      message: one line: what was expected and what was found.
      hint: one line: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(LorajaxError):
    """A configuration file or an override that cannot be used."""


class FormatError(LorajaxError):
    """A file that is not what its name promises, or is not safe to read."""


class NamingError(LorajaxError):
    """Tensor names that do not lead to the modules of a known base model."""


class AdapterError(LorajaxError):
    """Tensors that do not make up a usable update."""


class ProjectionError(LorajaxError):
    """A basis that cannot be fitted, or that does not belong to the data."""


class DatasetError(LorajaxError):
    """A collection that cannot be used as asked."""


class EncoderError(LorajaxError):
    """An encoder that does not belong to its features."""


class CheckpointError(LorajaxError):
    """A run or a bundle that cannot be opened."""


class LibraryError(LorajaxError):
    """A library that cannot be opened, read or written."""


class TooFewLabelsError(LibraryError):
    """A field that nobody has labelled often enough to guess it by."""


class ZooError(LorajaxError):
    """A zoo recipe or base model that cannot be used."""
