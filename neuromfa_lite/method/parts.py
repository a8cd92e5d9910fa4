"""The named parts of a method: distances, radii, masses and scores as functions of arrays; joins by their names."""

from collections.abc import Callable

import numpy as np

from ..errors import NeuroMFAError, arguments

PAPER_Q = tuple((np.arange(61) - 30) / 10)  # -3 ... 3 with an exact 0
LOG_SPACED_SHARES = 0.02, 0.90  # of the distances: below and beyond no radius stands
ROUNDING = 1e-9  # sums of lengths that are equal in theory differ by less, relatively


def _inverse(weights):
    return 1.0 / np.abs(weights)


def _inverse_over_median(weights):
    return _inverse(weights) / np.median(_inverse(weights[weights != 0]))


def _minus_log(weights):
    return np.maximum(-np.log(np.abs(weights)), 0.0)  # weights of 1 and more: as close as can be


def _whole_numbers(distances):
    return np.unique(np.rint(distances))


def _log_spaced(distances):
    return log_spaced_between(*np.quantile(distances, LOG_SPACED_SHARES))


def log_spaced_between(low, high):
    """20 radii from one distance to another, (20,); the larger alone where there is nothing between."""
    return np.geomspace(low, high, 20) if high > low > 0 else np.array([high])


def distinct(distances):
    """Every different distance, of those equal up to rounding the largest; 0 is no radius."""
    values = np.unique(distances[distances > 0])
    return values[np.append(np.diff(values) > ROUNDING * values[:-1], True)] if len(values) else values


def _final_share(counts):
    return counts / counts[:, -1:]


def _total_share(counts):
    return counts / counts.max()


def _others_share(counts):
    return (counts - 1.0) / (counts.max() - 1.0)


def _regularity(alpha0, width, alpha0_start, width_start):
    return np.log(alpha0_start / alpha0)


def _emergence(alpha0, width, alpha0_start, width_start):
    return width / width_start * np.log(alpha0_start / alpha0)


# The room of networks puts the functions behind these names here; natural radii are the object's own.
JOINS = (
    *("chain", "both-directions", "head-products", "folded", "folded-head-products", "with-embeddings"),
    *("dataflow", "dataflow-kernel-norms"),
)
PARTS: dict[str, dict[str, Callable | None]] = {
    "wiring": dict.fromkeys(JOINS),
    "distance": {"inverse": _inverse, "inverse-over-median": _inverse_over_median, "minus-log": _minus_log},
    "radii": {"integer": _whole_numbers, "log-spaced": _log_spaced, "every": distinct, "natural": None},
    "mass": {"final-share": _final_share, "total-share": _total_share, "others-share": _others_share},
    "score": {"emergence": _emergence, "regularity": _regularity},
}
SHIPPED = {field: frozenset(named) for field, named in PARTS.items()}


def register_part(field, name, function):
    """Give a callable a name that a Method can ask for; field is "wiring", "distance", "radii", "mass" or "score"."""
    arguments.one_of("field", field, PARTS)
    if arguments.text("name", name) in PARTS[field]:
        raise NeuroMFAError(f"{field} {name!r} is taken; choose another name")
    if not callable(function):
        raise NeuroMFAError(f"{field} {name!r} must be a callable, not {arguments.shown(function)}")
    PARTS[field][name] = function
