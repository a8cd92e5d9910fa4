"""Bands along a run: E, alpha0 and the width at every step, the same neurons resampled at all of them."""

from dataclasses import dataclass, field

import numpy as np

from .. import arguments, storage
from ..coverage import LEVEL, claim, is_measured, width_is_measured
from ..influence import notes_on
from ..masses import count_masses
from ..method import PAPER
from ..network import load_network
from ..study import measure_run
from ..text import html
from .ask import refuse_bad, refuse_one_neuron
from .bands import band
from .emergence import Steps
from .result import freeze

QUANTITIES = ("emergence", "alpha0", "width")


@dataclass(frozen=True, eq=False)
class TrajectoryConfidence:
    """Bands along a run, of one sample of its neurons or of the whole network.

    Attributes:
        run: its name; step: (steps,).
        emergence, alpha0, width: (steps,) of the sample; emergence_band, alpha0_band, width_band: (2, steps).
        r2: (steps,) the worst fit at each.
        kind, level, resamples, seed, given_radii: as for :class:`neuromfa_lite.Confidence`.
        measured: whether the measured coverages are of such an analysis; neurons: how many were resampled.
        neurons_per_layer: size of the sample, which is the first one of :func:`neuromfa_lite.follow`; None: whole.
        notes: what to know about these bands, in words.
        method, method_key, source_hash, versions: where it came from.
    """

    run: str
    step: np.ndarray
    emergence: np.ndarray
    alpha0: np.ndarray
    width: np.ndarray
    emergence_band: np.ndarray
    alpha0_band: np.ndarray
    width_band: np.ndarray
    r2: np.ndarray
    kind: str
    level: float
    resamples: int
    seed: int
    measured: bool
    given_radii: bool
    neurons: int
    neurons_per_layer: int | None
    notes: tuple[str, ...] = ()
    method: str = ""
    method_key: str = ""
    source_hash: str = ""
    versions: dict = field(default_factory=dict)

    def __post_init__(self):
        freeze(self)

    def __repr__(self):
        low, high = self.emergence_band[:, -1]
        return (
            f"TrajectoryConfidence({self.run!r}, steps {self.step[0]}..{self.step[-1]}: E = {self.emergence[-1]:.3f} "
            f"[{low:.3f} \u2026 {high:.3f}] at the end, worst r2 {self.r2.min():.3f}; {self.claim('emergence')})"
        )

    def _repr_html_(self):
        table = self.frame().to_html(index=False, float_format="%.3f")
        said = "<br>".join(f"{name}: {self.claim(name)}" for name in QUANTITIES)
        of = f"<b>{html(self.run)}</b>, bands from {self.resamples} resamples ({html(self.method)})"
        return f"{of}{table}<small>{said}</small>"

    def claim(self, quantity):
        """What may be said of the bands of "emergence", "alpha0" or "width", in words."""
        arguments.one_of("quantity", quantity, QUANTITIES)
        return claim(quantity, self.kind, self.level, self.neurons * self.measured, self.given_radii)

    def frame(self):
        """pandas DataFrame, a row per step: step, then value, low and high of emergence, alpha0 and width, r2."""
        import pandas as pd

        columns = {"step": self.step}
        for name in QUANTITIES:
            low, high = getattr(self, f"{name}_band")
            columns |= {name: getattr(self, name), f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame({**columns, "r2": self.r2})

    def plot(self, ax=None, quantity="emergence"):
        """Draw "emergence", "alpha0" or "width" over the steps with its band and what it is worth; returns the Axes."""
        from ..plots import plot_trajectory_confidence

        arguments.one_of("quantity", quantity, QUANTITIES)
        return plot_trajectory_confidence(self, quantity, ax=ax)

    def save(self, path):
        """Write everything to an .npz file; returns its path."""
        stored = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return storage.save(path, "trajectory-confidence", stored, _LAYOUT)

    @classmethod
    def load(cls, path):
        """Read bands written by :meth:`save`; a damaged file or one of a newer schema is refused."""
        values = storage.load(path, "trajectory-confidence", _LAYOUT)
        values.setdefault("r2", np.full(len(values["step"]), np.nan))  # an earlier version kept none
        return cls(**{**values, "notes": tuple(values["notes"])})


_LAYOUT = {
    "wholes[steps]": "step",
    "numbers[steps]": "emergence alpha0 width",
    "numbers[2 steps]": "emergence_band alpha0_band width_band",
    "maybe numbers[steps] or nan": "r2",  # NaN: of a file of an earlier version, which kept none
    "number": "level",
    "whole": "resamples seed neurons",
    "whole or none": "neurons_per_layer",
    "truth": "measured given_radii",
    "text": "run kind method method_key source_hash",
    "texts": "notes",
    "words": "versions",
}


def trajectory_confidence(run, method=PAPER, neurons_per_layer=32, steps=None, resamples=400, seed=0):
    """Put bands of nominal 90 % on E, alpha0 and the width of one sample along a run, by resampling its neurons.

    The bands answer what those of :func:`neuromfa_lite.confidence` do, at every step. Values of neighbouring steps
    rest on the same neurons, so the bands do not say how far two steps may move against each other.

    Args:
        run: a Run, as for :func:`neuromfa_lite.follow`; its main training seed is taken.
        method: Method; with radii_scope="run" the radii are those common to the sample at all steps.
        neurons_per_layer: size of the sample, drawn with seed 0 like the first one of follow(); None: all neurons.
        steps: the steps, 0 among them; None: every checkpoint.
        resamples: how many, at least 20; seed: of the resamples.

    Returns:
        TrajectoryConfidence; ``follow(run).plot(bands=it)`` draws it on the trajectory.

    Raises:
        NeuroMFAError: as follow() and emergence_confidence().

    Example:
        >>> from neuromfa_lite import load_run
        >>> found = trajectory_confidence(load_run("induction"), neurons_per_layer=16, steps=[0, 724], resamples=20)
        >>> low, high = found.emergence_band[:, 1]
        >>> found.emergence_band.shape, bool(low < found.emergence[1] < high)
        ((2, 2), True)
    """
    refuse_bad(LEVEL, resamples, seed, KIND)
    history = measure_run(run, method, 1, neurons_per_layer, steps)
    first = history.training_seeds[0]
    if len(history.radii):
        method = method.replace(radii=history.radii, radii_scope="network", name=method.name)
    at = history.step[history.training_seed == first].tolist()
    networks = [load_network(run.checkpoint(step, first), join=method.join) for step in at]
    if neurons_per_layer is not None:
        networks = [network.sample(neurons_per_layer, seed=0) for network in networks]
    masses = [count_masses(network, method) for network in networks]
    every = Steps(masses, method)
    refuse_one_neuron(every.strata)
    point = every.point[0][0], every.point[1][0]
    ends = band(point, every.resampled(int(resamples), int(seed)), LEVEL, KIND)
    values, ends = point[0].reshape(-1, 3).T, ends.reshape(2, -1, 3).transpose(2, 0, 1)
    return TrajectoryConfidence(
        run=history.run,
        step=np.array(at),
        **dict(zip(QUANTITIES, values, strict=True)),
        **{f"{name}_band": each for name, each in zip(QUANTITIES, ends, strict=True)},
        r2=every.r2,
        kind=KIND,
        level=LEVEL,
        resamples=int(resamples),
        seed=int(seed),
        measured=is_measured(history.choices) and width_is_measured(method.q) and method.score == "emergence",
        given_radii=isinstance(history.choices.radii, tuple),
        neurons=every.neurons,
        neurons_per_layer=neurons_per_layer,
        notes=notes_on(method, every.strata, masses[-1], networks[-1].seed),
        method=history.method,
        method_key=history.method_key,
        source_hash=history.source_hash,
        versions=storage.versions(),
    )


KIND = "studentised"  # the best covering one by measurement
