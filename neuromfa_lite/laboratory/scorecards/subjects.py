"""What a scorecard can be made of: a Method, or any function of a checkpoint to a number.

Both are brought to one form. A state is what is kept of a checkpoint, (samples, values); a rise is what is left of two
states, (samples,): how far the measure has moved since step 0, in its own units.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import numpy as np

from ... import arguments
from ...emergence import degree_of_emergence
from ...errors import NeuroMFAError, said
from ...method import Method
from ...network import load_network
from ...probe import refuse_bad_parts
from ...quality import quietly
from ...study import MOST_SAMPLES, analyze, common_radii


@dataclass(frozen=True, eq=False)
class MethodSubject:
    """A Method: alpha0 and the width of every sampled network; its rise is the method's score."""

    method: Method
    samples: int
    neurons_per_layer: int

    @property
    def name(self) -> str:
        return self.method.name

    def state(self, checkpoint) -> np.ndarray:
        """(samples, 2): alpha0 and width."""
        with quietly():
            spectra = [analyze(network, self.method) for network in self._networks(checkpoint)]
        return np.array([(spectrum.alpha0, spectrum.width) for spectrum in spectra])

    def probe(self, checkpoint):
        """Refuse, on one checkpoint, a method whose own parts return what no measure is made of."""
        refuse_bad_parts(load_network(checkpoint, join=self.method.join), self.method)
        state = self.state(checkpoint)
        self.rise(state, state)

    def rise(self, state, start) -> np.ndarray:
        """(samples,): the score of each sample against itself at step 0."""
        return np.atleast_1d(degree_of_emergence(*state.T, *start.T, self.method))

    def for_run(self, checkpoints):
        """The same subject with the radii that all checkpoints of a run cover, where its method asks for them."""
        if self.method.radii_scope == "network":
            return self
        networks = [network for checkpoint in checkpoints for network in self._networks(checkpoint)]
        method = self.method.replace(
            radii=common_radii(networks, self.method), radii_scope="network", name=self.method.name
        )
        return MethodSubject(method, self.samples, self.neurons_per_layer)

    def settings(self) -> dict:
        """{setting: the subject measured with another one, or why there is no other}."""
        method, half = self.method, max(2, self.neurons_per_layer // 2)
        orders = tuple(q for q in method.q if abs(q) <= max(np.abs(method.q)) / 2)
        other = {
            "another q range": self._with(method.replace(q=orders, name=method.name)) if len(orders) > 1 else "one q",
            "another k": MethodSubject(method, self.samples, half),
            "another window": "it has no window",
        }
        if method.window is not None:
            low, high = method.window
            other["another window"] = self._with(method.replace(window=(low, 2 * high), name=method.name))
        return other

    def _with(self, method):
        return MethodSubject(method, self.samples, self.neurons_per_layer)

    def _networks(self, checkpoint):
        network = load_network(checkpoint, join=self.method.join)
        return [network.sample(self.neurons_per_layer, seed) for seed in range(self.samples)]


@dataclass(frozen=True, eq=False)
class FunctionSubject:
    """A function of a checkpoint to a number; its rise is the number minus that of step 0.

    A function that takes ``seed=`` is asked once per sample.
    """

    function: object
    samples: int
    label: str = ""
    seeded: bool = field(init=False)

    def __post_init__(self):
        try:
            parameters = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            parameters = {}
        object.__setattr__(self, "seeded", "seed" in parameters)

    @property
    def name(self) -> str:
        return self.label or getattr(self.function, "__name__", type(self.function).__name__).replace("_", " ")

    def state(self, checkpoint) -> np.ndarray:
        """(samples, 1), or (1, 1) of a function that draws nothing."""
        asked = [{"seed": seed} for seed in range(self.samples)] if self.seeded else [{}]
        values = [self._answer(checkpoint, **seed) for seed in asked]
        for value in values:
            if not np.isfinite(arguments.number(value)):
                raise NeuroMFAError(
                    f"{self.name} returned {arguments.shown(value)} for {checkpoint}: a function on a scorecard "
                    "returns one finite number for every checkpoint"
                )
        return np.array(values, dtype=np.float64)[:, None]

    def probe(self, checkpoint):
        """Refuse, on one checkpoint, a function that returns no number, or another one when asked again."""
        first, again = self.state(checkpoint), self.state(checkpoint)
        if (first != again).any():
            at = np.flatnonzero(first != again)[0]
            raise NeuroMFAError(
                f"{self.name} gave two answers for {checkpoint}, {first[at, 0]:g} and {again[at, 0]:g}: let it draw "
                "from a generator of a fixed seed or of seed=, and keep nothing between calls"
            )

    def _answer(self, checkpoint, **seed):
        try:
            return self.function(checkpoint, **seed)
        except NeuroMFAError:
            raise
        except (Exception, SystemExit) as error:
            raise NeuroMFAError(f"{self.name} raised {said(error)} for {checkpoint}") from error

    def rise(self, state, start) -> np.ndarray:
        """(samples,): the difference."""
        return (state - start)[:, 0]

    def for_run(self, checkpoints):
        return self

    def settings(self) -> dict:
        return dict.fromkeys(("another q range", "another k", "another window"), "it has no such setting")


def subject_of(what, samples, neurons_per_layer):
    """Bring a Method or a function into the one form.

    Args:
        what: Method, or callable checkpoint -> number, with or without ``seed=``.
        samples, neurons_per_layer: sampled networks of a Method; seeds of a function.

    Returns:
        MethodSubject or FunctionSubject.

    Raises:
        NeuroMFAError: anything else, or a number of samples or neurons that is none.

    Example:
        >>> subject_of(lambda checkpoint: 1.0, 10, 32).seeded
        False
    """
    samples = arguments.whole("samples", samples, 1, MOST_SAMPLES)
    neurons_per_layer = arguments.whole("neurons_per_layer", neurons_per_layer, 1)
    if isinstance(what, Method):
        return MethodSubject(what, samples, neurons_per_layer)
    if callable(what) and not isinstance(what, type):
        return FunctionSubject(what, samples)
    raise NeuroMFAError(
        f"a scorecard is made of a Method or of a function of a checkpoint to a number, not of "
        f"{arguments.shown(what)}; named methods are in neuromfa_lite.method.METHODS"
    )


