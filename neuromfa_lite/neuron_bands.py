"""Bands of a spectrum from the spread of its neurons: what every exponent is shown with, and what it is worth."""

from functools import cached_property, partial

import numpy as np

from . import arguments
from .coverage import LEVEL, claim, measured_neurons, refuse_no_quantity, short_claim
from .errors import NeuroMFAError
from .influence import (
    AlphaWidth,
    NeuronErrors,
    knows_spread,
    normal_band,
    notes_on,
    standard_error,
    strata_of_masses,
    with_ends,
)
from .kernels.influence import influence_of_counts, influence_of_neurons
from .parallel import together
from .partition import log_masses
from .quality import FEW_NEURONS
from .regression import weights_of_fit

KIND = "normal"
NEAR_ONE = 1e-8  # there tau/(q - 1) and alpha(q) both are within about 1e-8 of D_q
LARGEST_BLOCK = 1 << 21  # influences held at once, 16 MB of each kind
LARGEST_EXPONENT = 300.0  # of powers that are looked up, far from what a float64 can hold
SHARED_FROM = 1_000_000  # shares: fewer are summed sooner than a second thread is woken
BANDED = ("alpha0", "width", "tau", "alpha", "f", "dimension")
NO_BAND = f"no band: fewer than {FEW_NEURONS} neurons, or none of them with another one in its layer"
NO_NEURONS = "no band: boxes cover the whole object, nothing was drawn"


class NeuronBands:
    """The part of a Spectrum that says how far its exponents would move with other neurons of the same kind."""

    def band(self, name):
        """Return (2, ...) the low and high end of the band, nominal 90 %, of an exponent.

        In which interval does the value lie that all neurons of the population give, of which these are a sample, at
        the same radii? value -+ 1.645 standard errors, from the influence of every neuron on the value, the neurons of
        each layer compared with each other; nothing is drawn. :func:`neuromfa_lite.confidence` makes better ones. What
        such a band is worth, :meth:`claim` says.

        Args:
            name: "alpha0", "width", "tau", "alpha", "f", or in the standard convention "dimension".

        Returns:
            (2,) or (2, q) float64; None where too few neurons can be compared, or none: boxes.

        Raises:
            NeuroMFAError: another name, or "dimension" in the paper's convention, which has none.

        Source: influence function and standard error of a stratified sample, A. C. Davison and D. V. Hinkley,
            Bootstrap Methods and their Application, 1997, sections 2.7 and 3.2.

        Example:
            >>> from neuromfa_lite import analyze, load_network, load_run
            >>> spectrum = analyze(load_network(load_run("induction").checkpoint(724)).sample(32, seed=0))
            >>> low, high = spectrum.band("alpha0")
            >>> bool(low < spectrum.alpha0 < high), spectrum.band("tau").shape
            (True, (2, 61))
        """
        if not isinstance(name, str) or name not in BANDED:
            said = ", ".join(map(repr, BANDED))
            raise NeuroMFAError(f"there is no band of {arguments.shown(name)}: there are those of {said}")
        errors = self.errors_of_two if name in ("alpha0", "width") else self.errors
        if errors is None:
            return None
        values = getattr(self, name)
        return normal_band(values, self._dimension_error() if name == "dimension" else getattr(errors, name), LEVEL)

    def _dimension_error(self):
        one = np.abs(self.q - 1) < NEAR_ONE
        error = self.errors.tau / np.where(one, 1.0, np.abs(self.q - 1))
        error[one] = self.errors.alpha[: len(self.q)][one] if one.any() else 0
        return error

    @cached_property
    def errors(self) -> NeuronErrors | None:
        """Standard errors of all exponents over the neurons, each layer by itself; None where there are none."""
        if not self._comparable:
            return self.stored_errors
        at_once = max(1, LARGEST_BLOCK // len(self.masses.layer))
        parts = [self._errors_of_orders(start, start + at_once) for start in range(0, len(self.q), at_once)]
        return NeuronErrors(*self.errors_of_two, *map(np.concatenate, zip(*parts, strict=True)))

    def _errors_of_orders(self, start, stop):
        """Those of tau, alpha and f at some of the orders."""
        forward = len(self.alpha) < len(self.q)
        q = self.q[start : stop + forward]
        tau, alpha = influences_of(self, q)
        alpha = _forward(q, tau) if forward else alpha
        tau, f = tau[: stop - start], q[: len(alpha), None] * alpha - tau[: len(alpha)]
        return [self._over_neurons(each) for each in (tau, alpha, f)]

    @cached_property
    def errors_of_two(self) -> AlphaWidth | None:
        """Those of alpha0 and the width alone, which take a fraction of the time."""
        if not self._comparable:
            return None if self.stored_errors is None else AlphaWidth(*self.stored_errors[:2])
        return AlphaWidth(*self._over_neurons(self.influences).tolist())

    @cached_property
    def influences(self) -> np.ndarray:
        """(2, neurons) influence of every neuron on alpha0 and on the width; the places of the extremes stay."""
        at = [int(np.argmax(self.alpha)), int(np.argmin(self.alpha))]
        if len(self.alpha) == len(self.q):
            at_zero, high, low = influences_of(self, [0.0, *self.q[at]])[1]
        else:
            at.append(int(np.argmin(np.abs(self.alpha - self.alpha0))))
            q = self.q[[[place, place + 1] for place in at]]
            high, low, at_zero = (_forward(each, influences_of(self, each)[0])[0] for each in q)
        return np.stack([at_zero, high - low])

    def _over_neurons(self, influences):
        return standard_error(influences, np.ones((1, influences.shape[1])), strata_of_masses(self.masses))

    @property
    def _comparable(self):
        known = self.masses is not None and self.neurons_used >= FEW_NEURONS
        return known and knows_spread(strata_of_masses(self.masses))

    @cached_property
    def band_notes(self) -> tuple[str, ...]:
        """What to know about the bands, in words."""
        if not self._comparable:
            return self.stored_notes
        return notes_on(self.choices, strata_of_masses(self.masses), self.masses, self.seed)

    def claim(self, quantity):
        """What may be said of a band, in words, with the coverage that was measured of such bands.

        Args:
            quantity: "alpha0", "width", or "tau(1)", "alpha(-3)", "f(2)" for the band at that order.
        """
        refuse_no_quantity(quantity, BANDED)
        if self.band("alpha0") is None:
            return self._no_band()
        if quantity == "width" and len(self.alpha) == 1:
            return "0 by definition: there is a single order"
        return claim(quantity, KIND, LEVEL, self._measured_neurons(quantity), self.given_radii)

    def _no_band(self):
        if self.masses is not None:
            return NO_BAND
        return self.stored_notes[0] if self.stored_notes else NO_NEURONS

    def shown(self, quantity, digits=4):
        """ "alpha0" or "width" with the ends of its band, as text."""
        arguments.one_of("quantity", quantity, ("alpha0", "width"))
        return with_ends(getattr(self, quantity), self.band(quantity), digits)

    def bands_said(self):
        """What these two bands are, in a few words; the whole of it says :meth:`claim`."""
        if self.band("alpha0") is None:
            return self._no_band()
        found = {}
        for name in ("alpha0", "width"):
            found[name] = short_claim(name, KIND, self._measured_neurons(name), self.given_radii)
        known = [f"{name} {coverage}" for name, coverage in found.items() if coverage]
        said = "coverage " + (f"measured: {', '.join(known)}" if known else "not measured")
        left_out = [note for note in self.band_notes if "a single neuron" in note]
        return "; ".join([f"[ \u2026 ] over neurons, nominal 90 %, {said}", *left_out])

    def _measured_neurons(self, quantity):
        return measured_neurons(quantity, self.neurons_used, self.measured, self.q)


def _forward(q, of_tau):
    return np.diff(of_tau, axis=0) / np.diff(q)[:, None]


def influences_of(spectrum, q):
    """The influence of every neuron on tau and on alpha, (2, q, neurons), of a Spectrum with its masses.

    Formula: with p_i(r) = w_i mu_i(r)^q / Z_q(r) and c_r the weight of a radius in the regression,
    d tau/d v_i = sum_r c_r p_i(r), and d alpha/d v_i = sum_r c_r p_i(r) [ln mu_i(r) - sum_k p_k(r) ln mu_k(r)] (in the
    standard convention with q - 1 in place of q). Over all neurons either sums to 0.

    Args:
        spectrum: Spectrum; q: (q,) orders; with derivative="forward" alpha too is the derivative at q.
    """
    masses, method, chosen = spectrum.masses, spectrum.choices, spectrum.fitted
    fit = weights_of_fit(np.log(masses.radii[chosen] / masses.radii[-1]))
    standard = method.convention == "standard"
    measure = masses.weight if standard and masses.weight is not None else np.ones(len(masses.layer))
    orders = np.asarray(q, dtype=np.float64) - standard
    found = np.empty((2, len(orders), len(masses.layer)))
    work = _work_on(masses, method, chosen, orders)
    at_once = len(orders) if found.size * len(fit) < SHARED_FROM else 1
    together(
        lambda j: work(measure, orders, fit, j, min(j + at_once, len(orders)), *found),
        range(0, len(orders), at_once),
    )
    return found


def _work_on(masses, method, chosen, orders):
    """The kernel with its masses: by their counts where the powers of these can be looked up, else by logarithms."""
    if method.mass == "final-share" and masses.counts.dtype.kind in "iu":
        counts = np.ascontiguousarray(masses.counts.T)
        logarithms = np.log(np.maximum(np.arange(int(counts[-1].max()) + 1), 1))
        if np.abs(orders).max() * logarithms[-1] < LARGEST_EXPONENT:
            return partial(influence_of_counts, counts[chosen], counts[-1], logarithms)
    return partial(influence_of_neurons, np.ascontiguousarray(log_masses(masses, method)[chosen]))
