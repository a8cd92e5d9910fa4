"""The bootstrap: neurons are drawn again, layer by layer, and everything is computed anew, some hundred times.

A resample is a row of weights, how often each neuron was drawn; a block of rows goes through the sums over neurons as
one product of matrices, and each row gets its exponents and their standard errors. These make studentised bands.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from .. import results
from ..errors import NeuroMFAError, arguments
from ..errors.memory import refuse_above
from ..errors.text import html, plain
from ..kernels.influence import influence_in_resamples
from ..kernels.product import multiply
from ..method import PAPER, refuse_no_method
from ..network import NeuronNetwork, load_network
from ..spectrum import Spectrum
from ..spectrum.fit import quietly, word_on
from ..spectrum.partition import log_masses
from ..spectrum.spread import (
    LEVEL,
    fit_of,
    knows_spread,
    notes_on,
    places_of_extremes,
    standard_error,
    strata_of_masses,
    with_ends,
)
from .emergence import degree_of_emergence, neurons_of_steps, slopes_of_score
from .measure import MOST_SAMPLES, analyze, follow

ALONG = ("emergence", "alpha0", "width")
EXPONENTS = ("alpha0", "width", "tau", "alpha", "f")
CURVES = 40
FEWEST_RESAMPLES = 20
BYTES_A_NUMBER = 48  # of a resample: value and error, and the copies that a band is made of
SMALLEST_Z = 1e-300  # of its largest term; pulls divide by it
LARGEST_BLOCK = 1 << 21  # numbers in a block of a matrix product, 16 MB


# --- drawing neurons, and what becomes of the exponents ------------------------------------------------------------


def draw_weights(strata, resamples, seed):
    """Yield (rows, neurons) float64 weights of resampled neurons, in blocks of any size the same numbers.

    Of n neurons of a stratum n - 1 are drawn with replacement, each of weight n/(n - 1), so that their mean spreads as
    that of a sample does (J. N. K. Rao and C. F. J. Wu, J. Am. Stat. Assoc. 83, 1988); a single one as it is. Each
    stratum has a random stream of its own, read one resample after another.
    """
    streams = [np.random.default_rng([seed, stratum]) for stratum in range(len(strata.sizes))]
    neurons = len(strata.of_neuron)
    members = [np.flatnonzero(strata.of_neuron == stratum) for stratum in range(len(strata.sizes))]
    at_once = max(1, LARGEST_BLOCK // max(neurons, int(strata.sizes.max())))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        weights = np.zeros((rows, neurons))
        for stream, places, size in zip(streams, members, strata.sizes.tolist(), strict=True):
            number = max(1, size - 1)
            drawn = stream.integers(0, size, (rows, number)) + size * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
            weights[:, places] = counts[:, : len(places)] * (size / number)
        yield weights


class Pulled(NamedTuple):
    """A value (rows,) and the pull (rows, neurons) of every neuron on it, a row per resample."""

    value: np.ndarray
    pulls: np.ndarray

    def times(self, factor):
        return Pulled(factor * self.value, factor * self.pulls)

    def minus(self, other):
        return Pulled(self.value - other.value, self.pulls - other.pulls)


class Estimates(NamedTuple):
    """(rows, quantities) values and standard errors of alpha0, width, and where asked for tau, alpha, f; two Pulled."""

    values: np.ndarray
    errors: np.ndarray
    alpha0: Pulled
    width: Pulled


class Weighted:
    """The exponents of a Spectrum for any weights v_i of its neurons; radii, range and places of the extremes stay.

    Z_q(r) = sum_i v_i w_i mu_i(r)^q (standard convention: q - 1); tau(q), alpha(q) = slopes of ln Z_q, d ln Z_q/dq.
    """

    def __init__(self, spectrum):
        self.spectrum, self.strata = spectrum, strata_of_masses(spectrum.masses)
        self.logs = log_masses(spectrum.masses, spectrum.choices)[spectrum.fitted]
        self.fit, self.measure, self.shift = fit_of(spectrum)
        self.extremes = places_of_extremes(spectrum)

    def line(self, weights, q, pulled=True):
        """(tau, alpha), both Pulled, of one order for weights (rows, neurons) >= 0; without pulls in less time."""
        order, at_once = q - self.shift, max(1, LARGEST_BLOCK // weights.shape[1])
        tau, alpha = (Pulled(np.zeros(len(weights)), np.zeros(weights.shape)) for _ in range(2))
        for start in range(0, len(self.logs), at_once):
            logs, fit = self.logs[start : start + at_once], self.fit[start : start + at_once]
            exponent = order * logs
            largest = exponent.max(axis=1)
            shares = np.exp(exponent - largest[:, None]) * self.measure
            z = _product(weights, shares.T)
            if not (z > SMALLEST_Z).all():
                raise self._no_z(weights)
            mean = _product(weights, (shares * logs).T) / z
            tau.value[:] += ((np.log(z) + largest) * fit).sum(axis=1)
            alpha.value[:] += (mean * fit).sum(axis=1)
            if pulled:
                influence_in_resamples(shares, logs, fit / z, mean, tau.pulls, alpha.pulls)
        if order == 0:  # there ln Z is flat by definition
            tau.value[:], tau.pulls[:] = 0.0, 0.0
        return tau, alpha

    def _no_z(self, weights):
        if not (weights * self.measure).any(axis=1).all():
            return NeuroMFAError("a resample holds no neuron that the method uses: draw a larger sample")
        q = self.spectrum.q
        return NeuroMFAError(
            f"orders q from {q[0]:g} to {q[-1]:g} make single neurons outweigh all others by more than a float64 can "
            "hold: use a smaller range of q"
        )

    def _lines(self, weights, every):
        """Yield (q, tau, alpha): behind an exact derivative's orders alpha0, at a forward one's last order no alpha."""
        q = self.spectrum.q
        if len(self.spectrum.alpha) == len(q):
            for place, order in enumerate([*q, 0.0]):
                yield order, *self.line(weights, order, every or place in self.extremes)
            return
        lines = ((order, self.line(weights, order)[0]) for order in q)
        for (order, tau), (following, then) in pairwise(lines):
            yield order, tau, then.minus(tau).times(1 / (following - order))
        yield following, then, None

    def exponents(self, weights, every=True):
        """The Estimates for weights (rows, neurons); every=False: of alpha0 and the width alone, in less time."""
        orders, slopes = len(self.spectrum.q), len(self.spectrum.alpha)
        of_tau, of_alpha, of_f, alphas, peaks, kept = [], [], [], [], [], {}
        for place, (q, tau, alpha) in enumerate(self._lines(weights, every)):
            if place in self.extremes:
                kept[place] = alpha
            if every and place < orders:
                of_tau.append(self._with_error(tau, weights))
            if place < slopes:
                alphas.append(alpha.value)
                peaks.append(q * alpha.value - tau.value)
                if every:
                    of_alpha.append(self._with_error(alpha, weights))
                    of_f.append(self._with_error(alpha.times(q).minus(tau), weights))
        high, low, alpha0 = (kept[place] for place in self.extremes)
        width = Pulled(np.ptp(alphas, axis=0), high.minus(low).pulls)
        if slopes < orders:  # at the maximum of f, as the spectrum has it
            top = np.argmax(peaks > np.max(peaks, axis=0) - 1e-12, axis=0)
            alpha0 = Pulled(np.array(alphas)[top, np.arange(len(weights))], alpha0.pulls)
        columns = [self._with_error(each, weights) for each in (alpha0, width)] + of_tau + of_alpha + of_f
        return Estimates(*np.array(columns).transpose(1, 2, 0), alpha0, width)

    def _with_error(self, value, weights):
        return value.value, standard_error(value.pulls, weights, self.strata)


def _product(left, right):
    """left right, the same to the last bit whatever threads there are."""
    product = np.empty((len(left), right.shape[1]))
    multiply(left, np.ascontiguousarray(right), product)
    return product


class Steps:
    """The same neurons at several steps, the first one untrained, drawn together; each counts where it is used."""

    def __init__(self, spectra):
        self.strata, self.places = neurons_of_steps([each.masses for each in spectra])
        self.steps, self.method = [Weighted(each) for each in spectra], spectra[0].choices

    def along(self, weights):
        """(values, errors) of E, alpha0 and the width at every step, side by side, (rows, 3 steps)."""
        start, values, errors = None, [], []
        for step, (work, place) in enumerate(zip(self.steps, self.places, strict=True)):
            now = work.exponents(weights[:, place], every=False)
            start = now if start is None else start
            e, error = self._emergence(start, now, step, weights)
            values += [e, *now.values.T]
            errors += [error, *now.errors.T]
        return np.column_stack(values), np.column_stack(errors)

    def _emergence(self, start, now, step, weights):
        """E (rows,) of a step against the first one, and its error by the chain rule."""
        parts = (now.alpha0, now.width, start.alpha0, start.width)
        values = np.array([each.value for each in parts])
        influence, slopes = np.zeros(weights.shape), slopes_of_score(values, self.method)
        for row, part in enumerate(parts):
            influence[:, self.places[step if row < 2 else 0]] += slopes[row][:, None] * part.pulls
        return degree_of_emergence(*values, method=self.method), standard_error(influence, weights, self.strata)


def resample(exponents, strata, resamples, seed):
    """((values, errors) of the sample, (quantities,) each; the same of the resamples, (resamples, quantities) each).

    exponents(weights (rows, neurons)) returns (values, errors, ...), (rows, quantities) each.
    """
    if not knows_spread(strata):
        raise NeuroMFAError("no layer has two neurons whose spread could be known: draw a larger sample")
    neurons = len(strata.of_neuron)
    point = [each[0] for each in exponents(np.ones((1, neurons)))[:2]]
    refuse_above(
        BYTES_A_NUMBER * resamples * len(point[0]),
        f"{resamples:,} resamples of {len(point[0])} numbers each",
        "take fewer resamples, or fewer q (method.replace(q=[...]))",
    )
    parts, short = [], resamples * neurons <= LARGEST_BLOCK
    with tqdm(total=resamples, desc="resamples", delay=1, leave=False, disable=short) as bar:
        for weights in draw_weights(strata, resamples, seed):
            parts.append(exponents(weights)[:2])
            bar.update(len(weights))
    return point, [np.concatenate(each) for each in zip(*parts, strict=True)]


def studentised_band(point, resampled, level=LEVEL):
    """(2, quantities) the ends of the studentised bands of what :func:`resample` returned.

    How far a resample lies from the sample is counted in its own standard errors, so that a sample that happens to lack
    the rare neurons gets a longer tail (Davison and Hinkley 1997, section 5.2).
    """
    (point, error), (values, errors) = point, resampled
    # A resample of one neuron many times has no spread of its own to be measured in: it is far out.
    moved = np.where(errors > 0, values - point, 0.0) / np.where(errors > 0, errors, 1.0)
    return point - np.quantile(moved, [(1 + level) / 2, (1 - level) / 2], axis=0) * error


# --- the result ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Confidence(results.Result):
    """Bands on the exponents of one spectrum, or on E, alpha0 and the width along a run.

    Attributes:
        source: of the network, or the name of the run.
        kind: "studentised" (resampled neurons) or "redraws" (other samples).
        level: nominal probability; resamples: how many, or how many samples; seed: of the resamples.
        neurons: how many were resampled.
        alpha0, width: the values of the sample itself, of redraws their mean; alpha0_band, width_band: (2,) the ends.
            Along a run (steps,) and (2, steps), and emergence, emergence_band the same of E.
        step: (steps,) of a run; neurons_per_layer: size of its sample, None for the whole network.
        q, tau (q,), alpha, f (orders of alpha,), tau_band (2, q), alpha_band, f_band (2, orders): not of a run.
        curves_alpha, curves_f: (curves, orders of alpha) spectra of some resamples, reflected at the sample's; of
            redraws the spectra themselves.
        r2, r2_by_q (q,), verdict: the worst fit, that of every order, the quality in words; of redraws the worst of all
            samples, of a run r2 (steps,) and the worst verdict.
        notes: what to know about these bands, in words.
        method, method_key, source_hash, versions: where it came from.
    """

    source: str
    kind: str
    level: float
    resamples: int
    seed: int
    neurons: int
    alpha0: float | np.ndarray
    width: float | np.ndarray
    alpha0_band: np.ndarray
    width_band: np.ndarray
    r2: float | np.ndarray
    verdict: str
    emergence: float | np.ndarray | None = None
    emergence_band: np.ndarray | None = None
    step: np.ndarray | None = None
    neurons_per_layer: int | None = None
    q: np.ndarray | None = None
    tau: np.ndarray | None = None
    alpha: np.ndarray | None = None
    f: np.ndarray | None = None
    tau_band: np.ndarray | None = None
    alpha_band: np.ndarray | None = None
    f_band: np.ndarray | None = None
    r2_by_q: np.ndarray | None = None
    curves_alpha: np.ndarray | None = None
    curves_f: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    source_hash: str = ""

    _kind = "confidence"
    _layout = {
        "wholes[steps] or none": "step",
        "numbers[steps]": "alpha0 width r2",
        "numbers[2 steps]": "alpha0_band width_band",
        "numbers[steps] or none": "emergence",
        "numbers[2 steps] or none": "emergence_band",
        "numbers[q] or none": "q tau r2_by_q",
        "numbers[orders] or none": "alpha f",
        "numbers[2 q] or none": "tau_band",
        "numbers[2 orders] or none": "alpha_band f_band",
        "numbers[* orders] or none": "curves_alpha curves_f",
        "number": "level",
        "whole": "resamples seed neurons",
        "whole or none": "neurons_per_layer",
        "text": "source kind verdict method method_key source_hash",
        "texts": "notes",
        "words": "versions",
    }

    def _said(self, names):
        """(name, value with the ends of its band) of those quantities that are known; of a run at its end."""
        for name, quantity in names.items():
            value, ends = getattr(self, quantity), getattr(self, f"{quantity}_band")
            if value is not None:
                yield name, with_ends(value, ends) if self.step is None else with_ends(value[-1], ends[:, -1])

    def _fit_said(self):
        return f"{np.min(self.r2):.3f}, {word_on(self.verdict)}"

    def _looks(self):
        return f"{self.resamples} {'samples' if self.kind == 'redraws' else 'resamples'}"

    def __repr__(self):
        of = f"{self.source!r} at step {self.step[-1]}: " if self.step is not None else ""
        names = {"E": "emergence", "alpha0": "alpha0", "width": "width"}
        said = ", ".join("=".join(each) for each in self._said(names))
        return plain(f"Confidence({of}{said}, r2={self._fit_said()}, {self._looks()})")

    def _repr_html_(self):
        of = f" at step {self.step[-1]}" if self.step is not None else ""
        names = {"E": "emergence", "&alpha;<sub>0</sub>": "alpha0", "width": "width"}
        return (
            f"<b>Confidence</b> of {html(self.source)}{of} ({html(self.method)}), {html(self.kind)}, {self._looks()} "
            f"of {self.neurons} neurons<br>"
            f"{', '.join(' = '.join(each) for each in self._said(names))}, r&sup2; = {html(self._fit_said())}"
        )

    def frame(self):
        """pandas DataFrame: of a spectrum a row per quantity and q: quantity, q, value, low, high, r2.

        Of a run a row per step: step, then value, low and high of emergence, alpha0 and width, r2.
        """
        import pandas as pd

        if self.step is not None:
            columns = {"step": self.step}
            for name in ALONG:
                low, high = getattr(self, f"{name}_band")
                columns |= {name: getattr(self, name), f"{name}_low": low, f"{name}_high": high}
            return pd.DataFrame({**columns, "r2": self.r2})
        both = ("alpha0", "width")
        rows = [(name, np.nan, getattr(self, name), *getattr(self, f"{name}_band"), self.r2) for name in both]
        for name in ("tau", "alpha", "f"):
            values, ends = getattr(self, name), getattr(self, f"{name}_band")
            rows += zip([name] * len(values), self.q, values, *ends, self.r2_by_q, strict=False)
        return pd.DataFrame(rows, columns=["quantity", "q", "value", "low", "high", "r2"])

    def plot(self, ax=None, quantity="emergence"):
        """Draw f(alpha) with thin resampled spectra and the band of alpha0; of a run one quantity over its steps.

        Args:
            ax: matplotlib Axes; None makes a figure.
            quantity: of a run "emergence", "alpha0" or "width".
        """
        arguments.one_of("quantity", quantity, ALONG)
        if self.step is not None:
            return results.picture("plot_trajectory_confidence", self, quantity, ax=ax)
        return results.picture("plot_confidence", self, ax=ax)

    def _to_file(self):
        """A single network is one step."""
        if self.step is not None:
            return {}
        known = [name for name in (*_OF_STEPS, *_BANDS_OF_STEPS) if getattr(self, name) is not None]
        return {name: np.array(getattr(self, name), dtype=np.float64)[..., None] for name in known}

    @classmethod
    def _from_file(cls, path, values):
        if values["step"] is None:
            values |= {name: float(values[name][0]) for name in _OF_STEPS if values[name] is not None}
            values |= {name: values[name][:, 0] for name in _BANDS_OF_STEPS if values[name] is not None}
        return cls(**{**values, "notes": tuple(values["notes"])})


_OF_STEPS = (*ALONG, "r2")
_BANDS_OF_STEPS = tuple(f"{name}_band" for name in ALONG)


# --- the calls -----------------------------------------------------------------------------------------------------


def confidence(what, method=None, level=LEVEL, resamples=400, seed=0):
    """Put bands on tau, alpha, f, alpha0 and the width by resampling the neurons.

    In which interval does the value lie that all neurons of the population give, of which these are a sample, at the
    same radii and scaling range? A band knows nothing of the fan-out that a sample cuts off, of other training seeds,
    or of a curved fit, and holds the value less often than it says: docs/coverage.md has what was measured.

    Args:
        what: NeuronNetwork, or a Spectrum that still holds its masses. A sampled network is measured as it is.
        method: Method; None: PAPER, or the spectrum's own.
        level: nominal probability of the bands; coverages were measured for 0.9.
        resamples: how many, at least 20.
        seed: whole number >= 0: the same seed, the same bands.

    Returns:
        Confidence.

    Raises:
        NeuroMFAError: a single neuron, a level outside (0, 1), too few resamples, a spectrum read from a file.

    Source: studentised bootstrap, A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997,
        section 5.2; coverage measured in ``benchmarks/band_coverage.py``.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> bands = confidence(load_network(load_run("induction").checkpoint(724)).sample(32), resamples=100)
        >>> bool(bands.alpha0_band[0] < bands.alpha0 < bands.alpha0_band[1]), bands.neurons
        (True, 320)
    """
    _refuse_bad(level, resamples, seed)
    spectrum = _spectrum(what, method)
    work = Weighted(spectrum)
    point, resampled = resample(work.exponents, work.strata, int(resamples), int(seed))
    ends, drawn = studentised_band(point, resampled, level), 2 * point[0] - resampled[0][:CURVES]
    n, a = len(spectrum.q), len(spectrum.alpha)
    at = dict(zip(EXPONENTS, (0, 1, *np.split(np.arange(2, 2 + n + 2 * a), [n, n + a])), strict=True))
    return Confidence(
        **{name: getattr(spectrum, name) for name in ("q", *EXPONENTS, "r2", "r2_by_q", "verdict")},
        **{name: getattr(spectrum, name) for name in ("method", "method_key", "source", "source_hash")},
        **{f"{name}_band": ends[:, places] for name, places in at.items()},
        curves_alpha=drawn[:, at["alpha"]],
        curves_f=drawn[:, at["f"]],
        kind="studentised",
        level=float(level),
        resamples=int(resamples),
        seed=int(seed),
        neurons=len(work.strata.of_neuron),
        notes=notes_on(spectrum.masses, work.strata, spectrum.choices, spectrum.seed),
    )


def trajectory_confidence(run, method=PAPER, neurons_per_layer=32, steps=None, resamples=400, seed=0):
    """Put bands of nominal 90 % on E, alpha0 and the width of one sample along a run, by resampling its neurons.

    They answer at every step what those of :func:`neuromfa_lite.confidence` do, not how far two steps may move against
    each other: these rest on the same neurons.

    Args:
        run: a Run, as for :func:`neuromfa_lite.follow`; its main training seed is taken.
        method: Method; with radii_scope="run" the radii are those common to the sample at all steps.
        neurons_per_layer: size of the sample, drawn with seed 0; None: all neurons.
        steps: the steps, 0 among them; None: every checkpoint.
        resamples: how many, at least 20; seed: of the resamples.

    Returns:
        Confidence; ``follow(run).plot(bands=it)`` draws it on the trajectory.

    Raises:
        NeuroMFAError: as follow() and confidence().

    Example:
        >>> from neuromfa_lite import load_run
        >>> found = trajectory_confidence(load_run("induction"), neurons_per_layer=16, steps=[0, 724], resamples=20)
        >>> low, high = found.emergence_band[:, 1]
        >>> found.emergence_band.shape, bool(low < found.emergence[1] < high)
        ((2, 2), True)
    """
    _refuse_bad(LEVEL, resamples, seed)
    with quietly():
        history = follow(run, method, 1, neurons_per_layer, steps)
        first = history.training_seeds[0]
        if len(history.radii):
            method = method.replace(radii=history.radii, radii_scope="network", name=method.name)
        at = history.step[history.training_seed == first].tolist()
        networks = [load_network(run.checkpoint(step, first), wiring=method.wiring) for step in at]
        if neurons_per_layer is not None:
            networks = [network.sample(neurons_per_layer, seed=0) for network in networks]
        spectra = [analyze(network, method) for network in networks]
    every = Steps(spectra)
    point, resampled = resample(every.along, every.strata, int(resamples), int(seed))
    ends = studentised_band(point, resampled).reshape(2, -1, 3).transpose(2, 0, 1)
    return Confidence(
        source=history.run,
        step=np.array(at),
        **dict(zip(ALONG, point[0].reshape(-1, 3).T, strict=True)),
        **{f"{name}_band": each for name, each in zip(ALONG, ends, strict=True)},
        r2=np.array([each.r2 for each in spectra]),
        verdict=min(spectra, key=lambda spectrum: spectrum.r2).verdict,
        kind="studentised",
        level=LEVEL,
        resamples=int(resamples),
        seed=int(seed),
        neurons=len(every.strata.of_neuron),
        neurons_per_layer=neurons_per_layer,
        notes=notes_on(spectra[-1].masses, every.strata, method, networks[-1].seed),
        method=history.method,
        method_key=history.method_key,
        source_hash=history.source_hash,
    )


def redraws(network, neurons_per_layer=32, method=PAPER, samples=19):
    """Put bands on tau, alpha, f, alpha0 and the width from other samples of the same network.

    The band reaches from the smallest to the largest of n samples and holds a further one with probability
    (n - 1)/(n + 1): 0.9 for 19. It speaks of samples of this size, not of the whole network.

    Args:
        network: NeuronNetwork, whole. neurons_per_layer: size of a sample.
        method: Method. samples: how many, at least 2, drawn with seeds 0, 1, ...

    Returns:
        Confidence of kind "redraws"; its values are means over the samples, its level is that probability.

    Raises:
        NeuroMFAError: a network that is a sample itself, fewer than two samples, a layer too small for the sample.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> bands = redraws(load_network(load_run("induction").checkpoint(724)), 16, samples=4)
        >>> bands.level, bands.curves_f.shape
        (0.6, (4, 61))
    """
    refuse_no_method(method)
    if not isinstance(network, NeuronNetwork) or network.seed is not None:
        raise NeuroMFAError("redraws() draws samples from a whole network: give it load_network(...), not a sample")
    samples = arguments.whole("samples", samples, 2, MOST_SAMPLES)
    seeds = tqdm(range(samples), desc="redraws", unit="sample", delay=1, leave=False)
    with quietly():
        spectra = [analyze(network.sample(neurons_per_layer, seed), method) for seed in seeds]
    values = {name: np.array([getattr(each, name) for each in spectra]) for name in EXPONENTS}
    means = {name: each.mean(axis=0) for name, each in values.items()}
    worst = min(spectra, key=lambda spectrum: spectrum.r2)
    return Confidence(
        q=spectra[0].q,
        **{**means, "alpha0": float(means["alpha0"]), "width": float(means["width"])},
        **{f"{name}_band": np.stack([each.min(axis=0), each.max(axis=0)]) for name, each in values.items()},
        curves_alpha=values["alpha"],
        curves_f=values["f"],
        kind="redraws",
        level=(samples - 1) / (samples + 1),
        resamples=samples,
        seed=0,
        neurons=round(np.mean([each.neurons_used for each in spectra])),
        r2=worst.r2,
        r2_by_q=np.min([each.r2_by_q for each in spectra], axis=0),
        verdict=worst.verdict,
        notes=() if isinstance(method.radii, tuple) else (f"each of the {samples} samples has radii of its own",),
        method=method.name,
        method_key=method.key,
        source=network.origin,
        source_hash=network.content_hash(),
    )


def _spectrum(what, method):
    """The Spectrum of a network, or the one given, which must hold its masses and be of that method."""
    if method is not None:
        refuse_no_method(method)
    if not isinstance(what, Spectrum):
        with quietly():
            return analyze(what, PAPER if method is None else method)
    if what.masses is None:
        raise NeuroMFAError("a spectrum read from a file or of boxes holds no masses: analyze the network again")
    if method is not None and method.key != what.method_key:
        raise NeuroMFAError(
            f"the spectrum was computed with method {what.method!r}: leave method out, or give a network"
        )
    return what


def _refuse_bad(level, resamples, seed):
    if not 0 < arguments.number(level) < 1:
        raise NeuroMFAError(f"level={arguments.shown(level)} must lie between 0 and 1, such as 0.9")
    arguments.whole("resamples", resamples, FEWEST_RESAMPLES)
    arguments.seed(seed)
