"""Pareto fan-out: neurons whose connections follow a power law, the one case where the paper's alpha_0 is known."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import number, shown, whole
from ..network import NeuronLayer, NeuronNetwork
from ..network.connections import Dense
from ..weights.matrix import WeightMatrix
from .known import KnownFractal, size_within

LARGEST_FAN_OUT = 20_000_000  # connections, 160 MB
LARGEST_DISTANCE = 150.0  # the end of the paper's window
SMALLEST_EXPONENT = 0.1  # below it the largest weights leave the range of float64


@dataclass(frozen=True)
class ParetoFanOut(KnownFractal):
    """Neurons whose weights are independent, of random sign, with P(|w| > x) = (150 x)^(-m) for x >= 1/150.

    The distances 1/|w| then follow P(d <= r) = (r/150)^m up to 150, the end of the paper's window, so every neuron
    has N(r) ~ r^m.

    Formula, one hop and large fan-out, in the convention of the paper of NeuroMFA (tau(0) = 0): tau(q) = m q,
    alpha = alpha_0 = m, f = 0, width 0. ``exact_dimension`` is the exponent m of N(r) = r^m for every q, which in this
    convention is tau(q-1)/(q-1).

    Source: N(r) ~ r^m for d = 1/|w|; Xiao et al. 2025, section 3, for the convention.

    Args:
        exponent: tail exponent m of the weights, at least 0.1.
        neurons: number of neurons.
        fan_out: connections of each, all to the same targets.
        seed: whole number >= 0; the same seed gives the same weights.

    Raises:
        NeuroMFAError: an exponent below 0.1 or not finite, or more connections than fit in memory.

    Example:
        >>> fan = ParetoFanOut(1.5, neurons=40, fan_out=500)
        >>> fan.exact_tau([-1, 0, 2]).tolist(), fan.exact_alpha(0)
        ([-1.5, 0.0, 3.0], 1.5)
    """

    exponent: float
    neurons: int
    fan_out: int
    seed: int = 0

    def __post_init__(self):
        exponent = number(self.exponent)
        if not SMALLEST_EXPONENT <= exponent < math.inf:
            raise NeuroMFAError(
                f"exponent={shown(self.exponent)} must be finite and at least {SMALLEST_EXPONENT}: a heavier tail has "
                f"weights too large for a float64"
            )
        object.__setattr__(self, "exponent", exponent)
        for name, smallest in (("neurons", 1), ("fan_out", 1), ("seed", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), smallest))
        size = self.neurons * self.fan_out
        who = f"a fan-out of {self.neurons:,} neurons to {self.fan_out:,} targets"
        size_within(LARGEST_FAN_OUT, who, "connections", math.log10(size), lambda: size)

    @property
    def nodes(self) -> int:
        """Number of neurons, targets included."""
        return self.neurons + self.fan_out

    def network(self):
        """Return a NeuronNetwork of two layers, "neurons" and "targets", joined by one matrix of float64 weights."""
        draw = np.random.default_rng(self.seed)
        shape = (self.fan_out, self.neurons)
        chance = 1.0 - draw.random(shape)  # (0, 1]: never 0
        # a hair above 1/150: 1/|w| must not be rounded beyond the window
        weights = chance ** (-1 / self.exponent) * ((1 + 1e-12) / LARGEST_DISTANCE)
        weights *= np.where(draw.random(shape) < 0.5, -1.0, 1.0)
        matrix = WeightMatrix.from_array("pareto weights", weights, "pareto fan-out", dtype="float64")
        layers = [NeuronLayer("neurons", self.neurons, block=None), NeuronLayer("targets", self.fan_out, block=None)]
        return NeuronNetwork(layers, [Dense(matrix.name, "weights", 0, 1, matrix)], origin="pareto fan-out")

    graph = network  # the name that the other objects use

    def _tau(self, q):
        return self.exponent * q

    def _alpha(self, q):
        return np.full(q.shape, self.exponent)

    def _f(self, q):
        return np.zeros(q.shape)

    def _dimension(self, q):
        return np.full(q.shape, self.exponent)
