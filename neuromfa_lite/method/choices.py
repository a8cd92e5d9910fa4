"""Method: every choice of the analysis, in the order of the flow, as one value to name, compare and vary."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ..errors import NeuroMFAError, said
from ..errors.arguments import flag, numbers, one_of, shown, text, whole
from .keys import identity, label
from .parts import PAPER_Q, PARTS, SHIPPED

LARGEST_Q = 1e6
CHOICES = {
    "reach": ("one-hop", "geodesic", "geodesic-undirected"),
    "radii_scope": ("network", "run"),
    "convention": ("paper", "standard"),
    "derivative": ("exact", "forward"),
}
CLOSEST_Q = 1e-9  # two orders of a difference quotient, whose rounding errors are divided by their distance


@dataclass(frozen=True, repr=False)
class Method:
    """The choices of one NeuroMFA analysis, in the order in which they act.

    A part (wiring, distance, radii, mass, score) is a name or any callable of whole arrays, of NumPy or compiled by
    ``numba.njit``. Each callable is asked twice on a few numbers before any work starts: its answer depends on what it
    is given alone, which it leaves as it is.

    Attributes:
        name: what plots and tables call it.
        wiring: which neurons are joined by what: "chain" (the paper: a weight matrix from its inputs to its outputs),
            "both-directions" (each connection runs back too), "head-products" (for each attention head W_O W_V and
            W_Q^T W_K in place of the four), "folded" (the layer norm's gain in the matrix behind it),
            "folded-head-products", "with-embeddings" (tokens in front and behind), "dataflow" (the model's own joins,
            residual streams, heads, gates and routers with it; the positions of a convolution's kernel in parallel),
            "dataflow-kernel-norms" (the same, a kernel's positions as one connection of their norm), or a callable:
            WeightSource -> (layers, blocks); see :mod:`neuromfa_lite.network`. None: that of the network; a study takes
            "chain", or "dataflow" of a family that has no chain.
        distance: how long a connection is: "inverse" (1/|w|, the paper), "inverse-over-median" (the same divided by the
            median of its weight matrix, in a sample by that of the part sampled), "minus-log" (-ln |w|, 0 where
            |w| > 1), or a callable: weights (targets, sources) of a matrix or (edges,) of a list -> distances of the
            same shape, finite and >= 0. Zero weights are no connections.
        reach: "one-hop" (a neuron's own connections, all published code), "geodesic" (the shortest path to any neuron
            it can reach, the paper's text) or "geodesic-undirected" (connections running both ways). For the last two
            read "paths" for "connections" below; see :mod:`neuromfa_lite.masses.geodesic`.
        window: (low, high): connections with low < distance <= high count; None: all of them.
        rounding: True rounds distances to whole numbers (halves to even) before counting, as the authors do.
        minimum_connections: neurons with fewer connections inside the window are left out.
        radii: "integer" (the rounded distances that occur), "log-spaced" (20 between the 2 % and 90 % quantiles of all
            distances), "every" (every distinct distance), "natural" (the object's own, such as the diameters of a
            fractal's copies), increasing numbers, or a callable: pooled distances (n,) -> increasing radii.
        radii_scope: "network": each network its own radii; "run": :func:`neuromfa_lite.follow` gives all networks of
            a run the same ones, those of the interval which every one of them covers.
        mass: "final-share" (mu_i(r) = N_i(r)/N_i(r_max), the paper), "total-share" (N_i(r) over the largest mass of
            all, the sandbox), "others-share" ((N_i(r) - 1)/(n - 1), n that largest mass), or a callable: masses N
            (neurons, radii) uint32 -> mu of the same shape.
        convention: "paper": Z_q(r) = sum_i mu_i(r)^q, so tau(0) = 0; "standard", that of the sandbox method:
            Z_q(r) = sum_i w_i mu_i(r)^(q-1), w_i the measure at neuron i or 1/n, so tau(1) = 0 and tau(0) = -D_0.
        q: the moment orders, increasing.
        scaling_range: the radii that exponents are fitted on: "whole" (all, the paper), (low, high), or "automatic":
            the longest range whose local slopes agree, see :mod:`neuromfa_lite.spectrum.fit`.
        derivative: "exact" (alpha = d tau/d q as a regression slope of its own) or "forward" (the authors' difference
            quotient: alpha and f belong to q[:-1]).
        score: "emergence", "regularity" (ln[alpha0(0)/alpha0(t)] alone), or a callable: alpha0, width, alpha0 at step
            0, width at step 0, (n,) each -> (n,) numbers.

    Source: Xiao et al., ICLR 2025, arXiv:2402.09099, sections 3.1-3.3, and the authors' published code.

    Example:
        >>> Method(name="mine").replace(minimum_connections=5).name
        'mine with minimum_connections=5'
    """

    name: str = "paper"
    wiring: str | Callable | None = None
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
        put = partial(object.__setattr__, self)  # the value is frozen for everybody else
        text("name", self.name)
        for field, named in PARTS.items():
            part = getattr(self, field)
            if field == "wiring" and part is None:
                continue
            if field == "radii" and not isinstance(part, str) and not callable(part):
                put("radii", _increasing("radii", part, positive=True))
            elif not callable(part) and not (isinstance(part, str) and part in named):
                known = ", ".join(map(repr, named))
                raise NeuroMFAError(f"{field}={shown(part)} is unknown: use one of {known} or a callable")
        for field, allowed in CHOICES.items():
            one_of(field, getattr(self, field), allowed)
        if isinstance(self.scaling_range, str):
            one_of("scaling_range", self.scaling_range, ("whole", "automatic"))
        else:
            put("scaling_range", _window("scaling_range", self.scaling_range))
        if self.window is not None:
            put("window", _window("window", self.window))
        put("rounding", flag("rounding", self.rounding))
        put("minimum_connections", whole("minimum_connections", self.minimum_connections, 1))
        put("q", _increasing("q", self.q))
        if max(map(abs, self.q)) > LARGEST_Q:
            raise NeuroMFAError(
                f"q holds {max(self.q, key=abs):g}: leave out orders beyond {LARGEST_Q:,.0f}, where one neuron decides"
            )
        if self.derivative == "forward" and (len(self.q) < 2 or min(np.diff(self.q)) < CLOSEST_Q):
            raise NeuroMFAError(f'derivative="forward" needs at least two q values, {CLOSEST_Q:g} apart')

    def call(self, field, *arguments):
        """Return what a part makes of its arguments; NeuroMFAError, naming the part, where it raises or exits."""
        part = getattr(self, field)
        named = f"{field} {label(part)!r} of method {self.name!r}"
        try:
            answer = (part if callable(part) else PARTS[field][part])(*arguments)
        except NeuroMFAError:
            raise
        except (Exception, SystemExit) as error:
            given = ", ".join(map(_kind, arguments))
            raise NeuroMFAError(f"{named} raised {said(error)} (it was given {given})") from error
        if np.ma.isMaskedArray(answer):
            raise NeuroMFAError(
                f"{named} returned a masked array, whose hidden numbers would be used: return .filled(value)"
            )
        return answer

    def own_parts(self):
        """The fields whose part is the user's own: a callable, or a name not shipped here."""

        def own(field, part):
            return callable(part) or (isinstance(part, str) and part not in SHIPPED[field])

        return tuple(field for field in PARTS if own(field, getattr(self, field)))

    def replace(self, **changes):
        """Return a copy with some choices changed; its name says which, unless a name is given."""
        unknown = set(changes) - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise NeuroMFAError(f"a Method has no {', '.join(sorted(unknown))}; it has {', '.join(self._choices())}")
        made = dataclasses.replace(self, **changes)
        if "name" not in changes:
            changed = ", ".join(f"{key}={label(value)}" for key, value in changes.items())
            object.__setattr__(made, "name", f"{self.name} with {changed}")
        return made

    def __repr__(self):
        return f"Method({', '.join(f'{name}={label(value)!r}' for name, value in self._choices().items())})"

    @cached_property
    def key(self) -> str:
        """A short hash of every choice, of a function also its code, but not of what it reads elsewhere."""
        choices = repr([(key, identity(value)) for key, value in self._choices().items() if key != "name"])
        return hashlib.sha256(choices.encode()).hexdigest()[:12]

    def _choices(self):
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _increasing(argument, values, positive=False):
    array = numbers(argument, values)
    if array.size == 0:
        raise NeuroMFAError(f"{argument} is empty: give at least one number")
    if not np.isfinite(array).all() or (np.diff(array) <= 0).any() or (positive and array[0] <= 0):
        raise NeuroMFAError(f"{argument} must be finite{', positive' if positive else ''} and strictly increasing")
    return tuple(array.tolist())


def _window(argument, window):
    edges = numbers(argument, window)
    if len(edges) != 2 or not 0 <= edges[0] < edges[1]:
        raise NeuroMFAError(f"{argument}={shown(window)} must be two numbers (low, high), 0 <= low < high")
    return tuple(edges.tolist())


def _kind(argument):
    return f"{argument.dtype} array {argument.shape}" if isinstance(argument, np.ndarray) else repr(argument)
