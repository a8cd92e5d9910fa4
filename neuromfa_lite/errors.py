"""The errors a user meets: each names what was wrong and the way out."""


class NeuroMFAError(ValueError):
    """Something asked for cannot be computed; the message says what and how to go on."""


class SourceError(NeuroMFAError):
    """Weights could not be read; the message names the file or model and the way out."""


class QualityWarning(UserWarning):
    """A number was computed that should not be trusted as it stands; the message says why, in words."""
