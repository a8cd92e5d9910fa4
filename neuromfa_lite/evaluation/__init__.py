"""What is a measure worth? A Method, or a function of a checkpoint, put through trained runs, controls and changes."""

from .ask import scorecard
from .card import Scorecard
from .shipped import FRESH, SHIPPED, fresh_scorecard, shipped_scorecard

__all__ = ["FRESH", "SHIPPED", "Scorecard", "fresh_scorecard", "scorecard", "shipped_scorecard"]
