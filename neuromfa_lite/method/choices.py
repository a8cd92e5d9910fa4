"""Method: every choice of the analysis, in the order of the flow, as one value to name, compare and vary."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import NeuroMFAError

@dataclass(frozen=True, repr=False)
class Method:
    """The choices of one NeuroMFA analysis, in the order in which they act.

    Attributes:
        name: what plots and tables call it.
        distance: how long a connection is: "inverse" (1/|w|, the paper), "inverse-over-median" (the same divided by the
            median of its weight matrix, in a sample by that of the part sampled), or a callable: weights of one
            matrix (targets, sources) float64 -> distances of the same shape. Zero weights are no connections,
            whatever it returns there.
        reach: to whom a distance is taken: "one-hop" (along a neuron's own connections, all published code), "geodesic"
            (along the shortest path to any neuron it can reach, the paper's text) or "geodesic-undirected" (the same,
            connections running both ways); see :mod:`neuromfa_lite.geodesic`. For the two geodesic ones read "paths"
            for "connections" below.
        window: (low, high): connections with low < distance <= high count; None: all of them.
        rounding: True rounds distances to whole numbers (halves to even) before counting, as the authors do.
        minimum_connections: neurons with fewer connections inside the window are left out.
        radii: "integer" (the rounded distances that occur), "log-spaced" (20 between the 2 % and 90 % quantiles of all
            distances), "every" (every distinct distance), "natural" (the object's own, such as the diameters of the
            copies that a fractal is made of), increasing numbers, or a callable: pooled distances -> increasing radii.
        radii_scope: "network": each network its own radii; "run": :func:`neuromfa_lite.follow` gives all networks of
            a run the same ones, those of the interval which every one of them covers.
        mass: "final-share" (mu_i(r) = N_i(r)/N_i(r_max), the paper), "total-share" (N_i(r) over the largest mass of
            all, the sandbox), "others-share" (the neuron itself left out: (N_i(r) - 1)/(n - 1), n that largest mass),
            or a callable: masses N (neurons, radii) -> mu of the same shape.
        convention: "paper": Z_q(r) = sum_i mu_i(r)^q, so tau(0) = 0; "standard", that of the sandbox method:
            Z_q(r) = sum_i w_i mu_i(r)^(q-1), w_i the measure at the centre of the ball (1/n for the n neurons of a
            network), so tau(1) = 0 and tau(0) = -D_0.
        q: the moment orders, increasing.
        scaling_range: the radii that exponents are fitted on: "whole" (all of them, the paper), (low, high) chosen by
            hand, or "automatic": the longest range whose local slopes agree, see :mod:`neuromfa_lite.scaling`.
        derivative: "exact" (alpha = d tau/d q as a regression slope of its own) or "forward" (the authors' difference
            quotient: alpha and f then have one value less than q and belong to q[:-1]).
        score: "emergence", or a callable (alpha0, width, alpha0 at step 0, width at step 0) -> a number, arrays
            allowed.

    Source: Xiao et al., ICLR 2025, arXiv:2402.09099, sections 3.1-3.3, and the settings of the authors' published code.

    Example:
        >>> SCALE_FREE.replace(minimum_connections=5).name
        'scale-free with minimum_connections=5'
    """

    name: str = "paper"
    distance: str | Callable = "inverse"
    reach: str = "one-hop"
    window: tuple[float, float] | None = (1.0, 150.0)
    rounding: bool = True
    minimum_connections: int = 11
    radii: str | Callable | tuple[float, ...] = "integer"
    radii_scope: str = "network"
    mass: str | Callable = "final-share"
    convention: str = "paper"
    q: tuple[float, ...] = PAPER_Q
    scaling_range: str | tuple[float, float] = "whole"
    derivative: str = "exact"
    score: str | Callable = "emergence"

    def __post_init__(self):
        for field, named in PARTS.items():
            part = getattr(self, field)
            if field == "radii" and not isinstance(part, str) and not callable(part):
                object.__setattr__(self, "radii", _increasing("radii", part, positive=True))
            elif field == "radii" and part == "natural":
                pass  # the object knows them, no rule does
            elif not callable(part) and not (isinstance(part, str) and part in named):
                raise NeuroMFAError(
                    f"{field}={part!r} is unknown: use one of {', '.join(map(repr, named))} or a callable"
                )
        object.__setattr__(self, "q", _increasing("q", self.q))
        _one_of("reach", self.reach, ("one-hop", "geodesic", "geodesic-undirected"))
        _one_of("derivative", self.derivative, ("exact", "forward"))
        _one_of("convention", self.convention, ("paper", "standard"))
        _one_of("radii_scope", self.radii_scope, ("network", "run"))
        if isinstance(self.scaling_range, str):
            _one_of("scaling_range", self.scaling_range, ("whole", "automatic"))
        else:
            object.__setattr__(self, "scaling_range", _window("scaling_range", self.scaling_range))
        if self.derivative == "forward" and len(self.q) < 2:
            raise NeuroMFAError('derivative="forward" needs at least two q values; q has one')
        if self.window is not None:
            object.__setattr__(self, "window", _window("window", self.window))
        least = self.minimum_connections
        if isinstance(least, bool) or not isinstance(least, (int, np.integer)) or least < 1:
            raise NeuroMFAError(f"minimum_connections={least!r} must be a whole number of at least 1")

    def part(self, field):
        """Return the callable behind a named part ("distance", "radii", "mass" or "score")."""
        value = getattr(self, field)
        return value if callable(value) else PARTS[field][value]

    def replace(self, **changes):
        """Return a copy with some choices changed; its name says which, unless a name is given."""
        unknown = set(changes) - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise NeuroMFAError(f"a Method has no {', '.join(sorted(unknown))}; it has {', '.join(self._choices())}")
        if "name" not in changes:
            changed = ", ".join(f"{key}={_label(value)}" for key, value in changes.items())
            changes["name"] = f"{self.name} with {changed}"
        return dataclasses.replace(self, **changes)

    def __repr__(self):
        return f"Method({', '.join(f'{name}={_label(value)!r}' for name, value in self._choices().items())})"

    @cached_property
    def key(self) -> str:
        """A short hash of every choice: equal keys mean the same computation."""
        text = repr([(key, _identity(value)) for key, value in self._choices().items() if key != "name"])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _choices(self):
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _increasing(argument, values, positive=False):
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise NeuroMFAError(f"{argument} must be a list of numbers, not {values!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise NeuroMFAError(f"{argument} is empty or not a flat list: give at least one number")
    if not np.isfinite(array).all() or (np.diff(array) <= 0).any() or (positive and array[0] <= 0):
        raise NeuroMFAError(f"{argument} must be finite{', positive' if positive else ''} and strictly increasing")
    return tuple(array.tolist())


def _window(argument, window):
    try:
        low, high = (float(edge) for edge in window)
    except (TypeError, ValueError):
        raise NeuroMFAError(f"{argument}={window!r} must be two numbers (low, high)") from None
    if not 0 <= low < high:
        raise NeuroMFAError(f"{argument}=({low}, {high}) must satisfy 0 <= low < high")
    return low, high


def _one_of(argument, value, allowed):
    if not isinstance(value, str) or value not in allowed:
        raise NeuroMFAError(f"{argument}={value!r} is unknown: use one of {', '.join(map(repr, allowed))}")
