"""matplotlib drawings: every function takes a result and ax=None, and returns the Axes."""

from .curves import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    STYLE,
    plot_ability,
    plot_confidence,
    plot_dimensions,
    plot_distances,
    plot_heterogeneity,
    plot_partition,
    plot_regularity,
    plot_spectrum,
    plot_tau,
    plot_trajectory,
    plot_trajectory_confidence,
)
from .networks import plot_chain, plot_matrix, plot_network, plot_outgoing
from .scorecards import plot_scorecard
from .wiring import plot_wiring

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "STYLE",
    "plot_ability",
    "plot_chain",
    "plot_confidence",
    "plot_dimensions",
    "plot_distances",
    "plot_heterogeneity",
    "plot_matrix",
    "plot_network",
    "plot_outgoing",
    "plot_partition",
    "plot_regularity",
    "plot_scorecard",
    "plot_spectrum",
    "plot_tau",
    "plot_trajectory",
    "plot_trajectory_confidence",
    "plot_wiring",
]
