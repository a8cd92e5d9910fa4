"""Uncertainty: bands on exponents and on E, and how often such bands were measured to hold what they should."""

from ..coverage import measured_frame
from .along import TrajectoryConfidence, trajectory_confidence
from .ask import confidence, emergence_confidence, redraws
from .result import Confidence, EmergenceConfidence
from .simulation import measure_coverage

__all__ = [
    "Confidence",
    "EmergenceConfidence",
    "TrajectoryConfidence",
    "confidence",
    "emergence_confidence",
    "measure_coverage",
    "measured_frame",
    "redraws",
    "trajectory_confidence",
]
