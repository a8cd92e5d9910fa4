"""The calls: bands by resampling the neurons of a spectrum or of E, and by drawing other samples of the network."""

import numpy as np
from tqdm.auto import tqdm

from .. import arguments, storage
from ..coverage import is_measured, width_is_measured
from ..errors import NeuroMFAError
from ..influence import knows_spread, notes_on, strata_of_masses
from ..masses import count_masses
from ..method import PAPER, refuse_no_method
from ..network import NeuronNetwork, refuse_no_network
from ..resampling import Resampler
from ..spectrum import Spectrum
from ..study import MOST_SAMPLES, measure_spectrum
from .bands import KINDS, band
from .emergence import Pair
from .result import Confidence, EmergenceConfidence

CURVES = 40
FEWEST_RESAMPLES = 20


def confidence(what, method=None, level=0.9, resamples=400, seed=0, kind="studentised", by_layer=True):
    """Put bands on tau, alpha, f, alpha0 and the width by resampling the neurons.

    A band answers: in which interval does the value lie that all neurons of the population give, of which these are a
    sample, at the same radii? It knows nothing of the fan-out that a sample cuts off, of other training seeds, or of a
    curved fit. The radii and the scaling range are those of the sample as it is.

    Args:
        what: NeuronNetwork, or a Spectrum that still holds its masses. A sampled network is measured as it is.
        method: Method; None: PAPER, or the spectrum's own.
        level: nominal probability of the bands; coverages were measured for 0.9.
        resamples: how many, at least 20.
        seed: whole number >= 0: the same seed, the same bands.
        kind: "studentised" (the best covering one by measurement), "basic", "percentile", "bias-corrected"
            or "normal", which resamples nothing and is what a Spectrum shows.
        by_layer: True draws the neurons of each layer apart, as a sampled network has them; False draws from all
            neurons together, which is wider because it also draws how many neurons of each layer there are.

    Returns:
        Confidence.

    Raises:
        NeuroMFAError: a single neuron, a level outside (0, 1), too few resamples, a spectrum read from a file.

    Source: bootstrap, A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997; coverage
        measured in ``benchmarks/band_coverage.py``.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> network = load_network(load_run("induction").checkpoint(724)).sample(32, seed=0)
        >>> bands = confidence(network, resamples=100)
        >>> bool(bands.alpha0_band[0] < bands.alpha0 < bands.alpha0_band[1]), bands.neurons
        (True, 320)
    """
    refuse_bad(level, resamples, seed, kind)
    by_layer = arguments.flag("by_layer", by_layer)
    spectrum = _spectrum(what, method)
    masses, method = spectrum.masses, spectrum.choices
    strata = strata_of_masses(masses, by_layer)
    refuse_one_neuron(strata)
    work = Resampler(spectrum, strata)
    point = work.point.values[0], work.point.errors[0]
    resamples = 0 if kind == "normal" else int(resamples)
    resampled = work.resampled(resamples, int(seed)) if resamples else tuple(each[None] for each in point)
    ends = band(point, resampled, level, kind)
    n, a = len(spectrum.q), len(spectrum.alpha)
    places = np.cumsum([2, n, a])
    curves = resampled[0][:CURVES]
    drawn = curves if kind == "percentile" else 2 * point[0] - curves
    return Confidence(
        **{name: getattr(spectrum, name) for name in ("q", "tau", "alpha", "f", "alpha0", "width")},
        alpha0_band=ends[:, 0],
        width_band=ends[:, 1],
        tau_band=ends[:, 2 : places[1]],
        alpha_band=ends[:, places[1] : places[2]],
        f_band=ends[:, places[2] :],
        curves_alpha=drawn[:, places[1] : places[2]],
        curves_f=drawn[:, places[2] :],
        kind=kind,
        level=float(level),
        resamples=resamples,
        seed=int(seed),
        by_layer=by_layer,
        neurons=len(masses.layer),
        measured=is_measured(method, by_layer) and masses.weight is None,
        given_radii=isinstance(method.radii, tuple),
        r2=spectrum.r2,
        r2_by_q=spectrum.r2_by_q,
        verdict=spectrum.verdict,
        notes=notes_on(method, strata, masses, spectrum.seed),
        method=spectrum.method,
        method_key=spectrum.method_key,
        source=spectrum.source,
        source_hash=spectrum.source_hash,
        versions=storage.versions(),
    )


def emergence_confidence(start, now, method=PAPER, level=0.9, resamples=400, seed=0, kind="studentised"):
    """Put a band on the degree of emergence by resampling the same neurons at step 0 and now, each layer apart.

    Args:
        start, now: NeuronNetwork at step 0 and later, with the same neurons (the same sample of both, or both whole).
        method, level, resamples, seed, kind: as for :func:`confidence`.

    Returns:
        EmergenceConfidence.

    Raises:
        NeuroMFAError: networks with other neurons, a width of 0 at step 0, and as for :func:`confidence`.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> start, now = (load_network(load_run("induction").checkpoint(step)).sample(16) for step in (0, 724))
        >>> found = emergence_confidence(start, now, resamples=50)
        >>> bool(found.band[0] < found.emergence < found.band[1])
        True
    """
    refuse_bad(level, resamples, seed, kind)
    refuse_no_method(method)
    for name, network in (("start", start), ("now", now)):
        refuse_no_network(name, network)
    masses = [count_masses(network, method) for network in (start, now)]
    both = Pair(*masses, method)
    refuse_one_neuron(both.strata)
    (point, error), (values, errors) = both.emergence(int(resamples), int(seed))
    return EmergenceConfidence(
        emergence=float(point[0]),
        band=band((point, error), (values, errors), level, kind)[:, 0],
        error=float(error[0]),
        resampled=values[:, 0],
        kind=kind,
        level=float(level),
        resamples=int(resamples),
        seed=int(seed),
        by_layer=True,
        measured=is_measured(method) and width_is_measured(method.q) and method.score == "emergence",
        given_radii=isinstance(method.radii, tuple),
        neurons=both.neurons,
        only_start=both.only_start,
        only_now=both.only_now,
        r2=float(both.r2.min()),
        notes=notes_on(method, both.strata, masses[1], now.seed),
        method=method.name,
        method_key=method.key,
        source=f"{start.origin} to {now.origin}",
        versions=storage.versions(),
    )


def redraws(network, neurons_per_layer=32, method=PAPER, samples=19):
    """Put bands on tau, alpha, f, alpha0 and the width from other samples of the same network.

    The band reaches from the smallest to the largest of n samples. A further sample is as likely to fall at any place
    among them, so the band holds it with probability (n - 1)/(n + 1) exactly: 0.9 for 19 samples, 0.82 for the
    paper's 10. It speaks of samples of this size, not of the whole network, from which their mean differs.

    Args:
        network: NeuronNetwork, whole. neurons_per_layer: size of a sample.
        method: Method. samples: how many, at least 2, drawn with seeds 0, 1, ...

    Returns:
        Confidence of kind "redraws"; its values are means over the samples.

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
    spectra = [measure_spectrum(network.sample(neurons_per_layer, seed), method) for seed in seeds]
    values = {name: np.array([getattr(each, name) for each in spectra]) for name in _NAMES}
    given, worst = isinstance(method.radii, tuple), min(spectra, key=lambda spectrum: spectrum.r2)
    return Confidence(
        q=spectra[0].q,
        **{name: each.mean(axis=0) for name, each in values.items() if each.ndim > 1},
        **{name: float(each.mean()) for name, each in values.items() if each.ndim == 1},
        **{f"{name}_band": np.stack([each.min(axis=0), each.max(axis=0)]) for name, each in values.items()},
        curves_alpha=values["alpha"],
        curves_f=values["f"],
        kind="redraws",
        level=(samples - 1) / (samples + 1),
        resamples=samples,
        seed=0,
        by_layer=True,
        neurons=round(np.mean([each.neurons_used for each in spectra])),
        measured=False,
        given_radii=given,
        r2=worst.r2,
        r2_by_q=np.min([each.r2_by_q for each in spectra], axis=0),
        verdict=worst.verdict,
        notes=() if given else (f"each of the {samples} samples has radii of its own",),
        method=method.name,
        method_key=method.key,
        source=network.origin,
        source_hash=network.content_hash(),
        versions=storage.versions(),
    )


_NAMES = ("tau", "alpha", "f", "alpha0", "width")


def _spectrum(what, method):
    if method is not None:
        refuse_no_method(method)
    if not isinstance(what, Spectrum):
        return measure_spectrum(what, PAPER if method is None else method)
    if what.masses is None:
        raise NeuroMFAError("a spectrum read from a file or of boxes holds no masses: analyze the network again")
    if method is not None and method.key != what.method_key:
        raise NeuroMFAError(
            f"the spectrum was computed with method {what.method!r}: leave method out, or give a network"
        )
    return what


def refuse_bad(level, resamples, seed, kind):
    if not 0 < arguments.number(level) < 1:
        raise NeuroMFAError(f"level={arguments.shown(level)} must lie between 0 and 1, such as 0.9")
    arguments.whole("resamples", resamples, FEWEST_RESAMPLES)
    arguments.seed(seed)
    arguments.one_of("kind", kind, KINDS)


def refuse_one_neuron(strata):
    if not knows_spread(strata):
        raise NeuroMFAError(
            "no layer has two neurons to resample, so nothing is known about their spread: draw a larger sample, or "
            "resample all layers together with by_layer=False"
        )
