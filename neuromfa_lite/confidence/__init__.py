"""Confidence: bands on exponents and on E, and how often such bands were measured to hold what they should."""

import sys
from types import ModuleType

from .ask import confidence, emergence_confidence, redraws
from .coverage import measure_coverage, measured_frame
from .result import Confidence, EmergenceConfidence

__all__ = [
    "Confidence",
    "EmergenceConfidence",
    "confidence",
    "emergence_confidence",
    "measure_coverage",
    "measured_frame",
    "redraws",
]


class _Room(ModuleType):
    """The room has the name of the function it is for: whoever imported the room first can call it all the same."""

    def __call__(self, *args, **kwargs):
        return confidence(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
