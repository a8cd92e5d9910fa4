"""Objects whose multifractal answer is known in closed form, to learn on and to test every estimator against.

Each has ``exact_tau(q)``, ``exact_alpha(q)``, ``exact_f(q)`` and ``exact_dimension(q)`` (see :class:`KnownFractal`),
the object itself (``measure()`` or ``graph()``) and masses that can be counted exactly.
"""

from .cascade import Cascade
from .flower import Flower
from .known import KnownFractal
from .lattice import Lattice
from .pareto import ParetoFanOut
from .ring import Ring
from .weighted import WeightedFractal

__all__ = ["Cascade", "Flower", "KnownFractal", "Lattice", "ParetoFanOut", "Ring", "WeightedFractal"]
