"""Scorecards: a Method, or any function of a checkpoint, put through trained runs, controls and changes."""

from .ask import scorecard
from .result import Scorecard
from .shipped import SHIPPED, shipped_scorecard

__all__ = ["SHIPPED", "Scorecard", "scorecard", "shipped_scorecard"]
