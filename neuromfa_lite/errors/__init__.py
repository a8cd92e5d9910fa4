"""The errors a user meets: each names what was wrong and the way out."""

from .text import plain

ONE_ANSWER = "let it draw from a generator that it makes of a fixed seed at each call, and keep nothing between calls"


class NeuroMFAError(ValueError):
    """Something asked for cannot be computed; the message says what and how to go on."""

    def __str__(self):
        return plain(super().__str__(), lines=True)  # names of files and of what lies in them are part of it


class SourceError(NeuroMFAError):
    """Weights could not be read; the message names the file or model and the way out."""


class QualityWarning(UserWarning):
    """A number was computed, or a model opened, that should not be trusted as it stands; the message says why."""


def said(error):
    """An exception of somebody else's code in one line: its type and the first line of its words."""
    try:
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200]
    except Exception:
        words = ""  # its own words fail
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
