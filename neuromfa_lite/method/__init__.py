"""Method: every choice of the analysis, in the order of the flow, as one value to name, compare and vary."""

from .choices import Method
from .file import load_variant
from .keys import identity, label
from .parts import LOG_SPACED_SHARES, PARTS, ROUNDING, SHIPPED, distinct, log_spaced_between, register_part
from .shipped import (
    GEODESIC,
    METHODS,
    ONE_GRAPH,
    PAPER,
    PUBLISHED,
    SANDBOX,
    SCALE_FREE,
    refuse_no_method,
    register_method,
)

__all__ = [
    "GEODESIC",
    "LOG_SPACED_SHARES",
    "METHODS",
    "ONE_GRAPH",
    "PAPER",
    "PARTS",
    "PUBLISHED",
    "ROUNDING",
    "SANDBOX",
    "SCALE_FREE",
    "SHIPPED",
    "Method",
    "distinct",
    "identity",
    "label",
    "load_variant",
    "log_spaced_between",
    "refuse_no_method",
    "register_method",
    "register_part",
]
