"""The only loops: one network analyzed, one run followed, emergence, and how far neurons could move the numbers."""

from .bootstrap import Confidence, confidence, redraws, trajectory_confidence
from .emergence import degree_of_emergence
from .measure import analyze, follow
from .trajectory import Trajectory

__all__ = [
    "Confidence",
    "Trajectory",
    "analyze",
    "confidence",
    "degree_of_emergence",
    "follow",
    "redraws",
    "trajectory_confidence",
]
