"""Bands of every spectrum: plain loops == kernel == bootstrap == call, known answers, and what a reader sees."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import PAPER_Q
from oracle import pulls as plain_pulls
from oracle import standard_error as plain_error
from twins import FEW, chain, from_distances, gaussian
from twins import WAYS as OF_COUNTS

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, PUBLISHED, SANDBOX, SCALE_FREE, NeuroMFAError, analyze, load_network, load_run
from neuromfa_lite.fractals import Cascade, ParetoFanOut
from neuromfa_lite.kernels.influence import influence_of_counts, influence_of_neurons
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.plots.curves import plot_partition, plot_spectrum, plot_tau
from neuromfa_lite.spectrum import Spectrum, neuron_fractal_dimension, spectrum_of_masses, spread
from neuromfa_lite.spectrum.fit import weights_of_fit
from neuromfa_lite.spectrum.nfd import error_over_connections
from neuromfa_lite.spectrum.partition import log_masses
from neuromfa_lite.spectrum.spread import influences_of
from neuromfa_lite.study.bootstrap import Steps, Weighted
from neuromfa_lite.study.emergence import emergence_errors
from neuromfa_lite.study.measure import degree_of_emergence

WAYS = [*OF_COUNTS, SCALE_FREE.replace(q=[-1.0, 0.5, 2.0], minimum_connections=3)]
NINETY = 1.6448536269514722


def network(seed=0, deviation=0.05):
    return chain(gaussian(12, 9, seed=seed, deviation=deviation), gaussian(40, 12, seed=seed + 1, deviation=deviation))


@pytest.fixture(scope="module")
def trained():
    return load_network(load_run("induction").checkpoint(724)).sample(32, seed=0)


# --- plain loops, kernel, bootstrap, call --------------------------------------------------------------------------


@pytest.mark.small
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("method", WAYS[:3], ids=lambda method: method.key)
def test_the_kernels_are_the_plain_loop(method, counted):
    masses = count_masses(network(), method)
    method = method if not counted else FEW
    logs, x = log_masses(masses, method), np.log(masses.radii / masses.radii[-1])
    weights = np.linspace(0.5, 2, logs.shape[1])
    q = np.array(method.q)
    of_tau, of_alpha = np.empty((2, len(q), logs.shape[1]))
    where = 0, len(q), of_tau, of_alpha
    if counted:
        counts = np.ascontiguousarray(masses.counts.T)
        logarithms = np.log(np.maximum(np.arange(counts.max() + 1), 1))
        influence_of_counts(counts, counts[-1], logarithms, weights, q, weights_of_fit(x), *where)
    else:
        influence_of_neurons(logs, weights, q, weights_of_fit(x), *where)
    shares = np.exp(logs).tolist()
    for j, order in enumerate(q):
        expected = plain_pulls(x.tolist(), shares, [weights.tolist()] * len(x), order, order == 0)
        assert of_tau[j] == pytest.approx(expected[0], rel=1e-9, abs=1e-13)
        assert of_alpha[j] == pytest.approx(expected[1], rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("method", WAYS, ids=lambda method: method.key)
def test_every_error_is_that_of_the_bootstrap_and_of_plain_loops(method):
    """A kernel for the sample as it is, one for any weights of the neurons, and the definition."""
    spectrum = spectrum_of_masses(count_masses(network(), method), method)
    found = spectrum.errors
    mine = np.concatenate([[found.alpha0, found.width], found.tau, found.alpha, found.f])
    masses, forward = spectrum.masses, method.derivative == "forward"
    work = Weighted(spectrum)
    point = work.exponents(np.ones((1, len(masses.layer))))
    assert mine == pytest.approx(point.errors[0], rel=1e-9, abs=1e-14)
    x, shares = np.log(masses.radii / masses.radii[-1])[spectrum.fitted].tolist(), np.exp(work.logs).tolist()
    sizes = {layer: len(masses.layers[layer]) for layer in np.unique(masses.layer).tolist()}
    for j, order in enumerate(np.array(method.q) - (method.convention == "standard")):
        of_tau, of_alpha = plain_pulls(x, shares, [[1.0] * len(masses.layer)] * len(x), order, order == 0)
        assert found.tau[j] == pytest.approx(plain_error(of_tau, masses.layer.tolist(), sizes), rel=1e-8, abs=1e-13)
        if not forward:
            error = plain_error(of_alpha, masses.layer.tolist(), sizes)
            assert found.alpha[j] == pytest.approx(error, rel=1e-8, abs=1e-13)
    assert (found.alpha0, found.width) == tuple(spectrum.errors_of_two)


@pytest.mark.small
@pytest.mark.parametrize("method", [FEW, FEW.replace(derivative="forward")], ids=lambda method: method.key)
def test_blocks_of_orders_give_the_same_errors(method, monkeypatch):
    masses = count_masses(network(), method)
    whole = spectrum_of_masses(masses, method).errors
    for neurons in (1, 2, 3):
        monkeypatch.setattr(spread, "LARGEST_BLOCK", neurons * len(masses.layer))
        for one, other in zip(whole, spectrum_of_masses(masses, method).errors, strict=True):
            assert one == pytest.approx(other, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("method", WAYS, ids=lambda method: method.key)
def test_an_influence_is_what_a_little_more_of_the_neuron_does(method):
    spectrum = spectrum_of_masses(count_masses(network(), method), method)
    work, neurons = Weighted(spectrum), len(spectrum.masses.layer)
    for neuron in (0, neurons // 2, neurons - 1):
        weights = np.ones((2, neurons))
        weights[:, neuron] += (1e-4, -1e-4)
        more, less = work.exponents(weights, every=False).values
        assert spectrum.influences[:, neuron] == pytest.approx((more - less) / 2e-4, rel=1e-5, abs=1e-7)


@pytest.mark.small
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=10)
def test_bands_are_the_same_in_any_order_of_the_neurons_and_hold_the_value(seed):
    masses = count_masses(network(seed), FEW)
    order = np.random.default_rng(seed).permutation(len(masses.layer))
    one, other = (spectrum_of_masses(each, FEW) for each in (masses, masses.subset(order)))
    for name in ("alpha0", "width", "tau", "alpha", "f"):
        low, high = one.band(name)
        assert (low <= getattr(one, name)).all() and (getattr(one, name) <= high).all()
        assert other.errors is not None
        # a subset counts the neurons used alone; here none was left out
        assert other.band(name) == pytest.approx(one.band(name), rel=1e-9, abs=1e-12)


# --- known answers -----------------------------------------------------------------------------------------------


def test_the_error_of_alpha0_is_that_of_a_mean_within_layers(trained):
    """alpha0 is the mean dimension; the error of a mean of strata stands in every book on samples."""
    spectrum, table = analyze(trained), neuron_fractal_dimension(trained).frame()
    groups = table.groupby("layer")["dimension"]
    squares = (groups.var(ddof=1) * groups.size()).sum() / len(table) ** 2
    assert spectrum.errors.alpha0 == pytest.approx(math.sqrt(squares), rel=1e-9)
    low, high = spectrum.band("alpha0")
    assert (high - low) / 2 == pytest.approx(NINETY * math.sqrt(squares), rel=1e-9)
    assert neuron_fractal_dimension(trained).mean_error == pytest.approx(spectrum.errors.alpha0, rel=1e-9)


@pytest.mark.small
def test_neurons_that_are_alike_leave_no_error():
    spectrum = analyze(from_distances([range(2, 22)] * 12), FEW)
    assert spectrum.errors.alpha0 == pytest.approx(0, abs=1e-15)
    assert spectrum.band("width") == pytest.approx(0, abs=1e-12)


@pytest.mark.small
def test_a_single_neuron_and_boxes_have_no_band_and_say_so():
    one = analyze(from_distances([range(2, 22)]), FEW)
    nine = analyze(from_distances([range(2, 22 + k) for k in range(9)]), FEW)
    boxes = nmfa.box_counting(Cascade([0.3, 0.7], 6), method=SANDBOX)
    for spectrum in (one, nine, boxes):
        assert spectrum.band("alpha0") is None and spectrum.band("tau") is None and spectrum.errors is None
        assert "\u2026" not in repr(spectrum) + spectrum._repr_html_() and spectrum.band_notes[0].startswith("no band")
        assert list(spectrum.frame().columns) == ["q", "tau", "alpha", "f", "r2"]
        for ax in (plot_spectrum(spectrum), plot_tau(spectrum), plot_partition(spectrum)):
            texts = " ".join(text.get_text().replace("\n", " ") for text in ax.texts)
            assert "r2 = " in texts and "\u2026" not in ax.get_title()


def test_a_band_shrinks_with_the_root_of_the_number_of_neurons():
    whole = ParetoFanOut(1.5, 1600, 200).network()
    masses = count_masses(whole)
    part = masses.subset(np.arange(1600) % 4 == 0)
    errors = [spectrum_of_masses(each).errors.alpha0 for each in (masses, part)]
    assert errors[1] / errors[0] == pytest.approx(2, rel=0.1)


# --- what a reader sees ------------------------------------------------------------------------------------------


def test_every_exponent_that_is_written_has_its_ends_and_its_fit(trained):
    spectrum = analyze(trained)
    low, high = spectrum.band("alpha0")
    ends = f"{spectrum.alpha0:.4f} [{low:.4f} \u2026 {high:.4f}]"
    for text, breaks in ((repr(spectrum), 0), (spectrum._repr_html_(), 1)):
        assert ends in text and f"{spectrum.r2:.3f}, " in text and "curved" in text and ".flags" in text
        assert "\n" not in text and text.count("<br>") == breaks
    table = spectrum.frame()
    assert list(table.columns) == "q tau tau_low tau_high alpha alpha_low alpha_high f f_low f_high r2".split()
    assert table["tau_high"].to_numpy() == pytest.approx(spectrum.tau + NINETY * spectrum.errors.tau, abs=1e-12)
    assert f"[{low:.3f} \u2026 {high:.3f}]" in plot_spectrum(spectrum).get_title()
    legend = [text.get_text() for text in plot_partition(spectrum).get_legend().get_texts()]
    assert all("\u2026" in text and "r^2" in text for text in legend)


def test_centres_are_compared_among_themselves(trained):
    """Five of each of two layers, again and again: the spread of their alpha0 is what one draw says of itself."""
    draw, found = np.random.default_rng(0), []
    layers = [np.arange(5 * 32)[:32], 32 * 4 + np.arange(32)]  # the block's input, and its attention
    for _ in range(150):
        centres = np.concatenate([draw.choice(layer, 5, replace=False) for layer in layers])
        found.append(analyze(trained, PAPER.replace(radii=range(5, 151)), centres=centres))
    said = np.mean([spectrum.errors.alpha0 for spectrum in found])
    seen = np.std([spectrum.alpha0 for spectrum in found]) / np.sqrt(1 - 5 / 32)  # drawn without replacement
    assert said == pytest.approx(seen, rel=0.15)


def test_large_orders_are_not_looked_up(trained):
    """Powers of counts would be more than a float64 can hold: logarithms take over."""
    spectrum = analyze(trained, PAPER.replace(q=(-300.0, 0.0, 300.0)))
    assert np.isfinite(spectrum.errors.tau).all() and np.isfinite(spectrum.errors.width)


def test_other_names_are_refused(trained):
    spectrum = analyze(trained)
    with pytest.raises(NeuroMFAError, match="no band of 'tauu'"):
        spectrum.band("tauu")
    with pytest.raises(NeuroMFAError, match="standard convention"):
        spectrum.band("dimension")


def test_a_layer_with_a_single_neuron_is_said_to_be_left_out(trained):
    centres = [0, *range(32 * 4, 32 * 4 + 12)]
    spectrum = analyze(trained, centres=centres)
    assert "1 layer has a single neuron" in spectrum.band_notes[0]


def test_bands_survive_a_file(trained, tmp_path):
    for method in (PAPER, PUBLISHED):
        spectrum = analyze(trained, method)
        again = Spectrum.load(spectrum.save(tmp_path / method.name))
        assert again.frame().equals(spectrum.frame()) and repr(again) == repr(spectrum)
        assert again.band("width") == pytest.approx(spectrum.band("width"), abs=0)
        assert Spectrum.load(again.save(tmp_path / "again")).frame().equals(spectrum.frame())
        assert again.band_notes == spectrum.band_notes


def test_a_dimension_of_the_standard_convention_has_the_band_of_its_slope():
    spectrum = analyze(Cascade([0.3, 0.7], 7), SANDBOX.replace(q=[-1.0, 0.0, 1.0, 2.0], radii="natural"))
    low, high = spectrum.band("dimension")
    half = NINETY * spectrum.errors.tau / np.array([2, 1, 1, 1])
    half[2] = NINETY * spectrum.errors.alpha[2]
    assert (high - low) / 2 == pytest.approx(half, abs=1e-12)


@pytest.mark.small
def test_the_fit_of_q_0_is_what_its_neighbours_tend_to():
    spectrum = analyze(network(), FEW.replace(q=[-1e-4, 0.0, 1e-4]))
    assert spectrum.r2_by_q[1] == pytest.approx(spectrum.r2_by_q[[0, 2]].mean(), abs=1e-6) and spectrum.r2_by_q[1] < 1


# --- E, runs, single neurons -------------------------------------------------------------------------------------


def test_the_error_of_emergence_is_that_of_the_resampled_pair(trained):
    start = load_network(load_run("induction").checkpoint(0)).sample(32, seed=0)
    spectra = [analyze(each) for each in (start, trained)]
    (error,) = emergence_errors(spectra[:1], spectra[1:])
    both = Steps(spectra)
    assert error == pytest.approx(both.along(np.ones((1, 320)))[1][0, 3], rel=1e-6)


def test_the_score_is_differentiated_in_every_argument():
    from neuromfa_lite.study.emergence import slopes_of_score

    a, w, a0, w0 = 0.8, 0.7, 1.4, 0.6
    slopes = slopes_of_score(np.array([[a], [w], [a0], [w0]]))[:, 0]
    e = degree_of_emergence(a, w, a0, w0)
    assert slopes == pytest.approx([-w / w0 / a, e / w, w / w0 / a0, -e / w0], rel=1e-7)


def test_e_of_the_start_has_no_error_and_a_width_of_0_has_a_slope(trained):
    spectrum = analyze(trained)
    assert emergence_errors([spectrum], [spectrum])[0] == 0
    from neuromfa_lite.study.emergence import slopes_of_score

    root = PAPER.replace(score=lambda alpha0, width, alpha0_start, width_start: np.sqrt(width) + alpha0)
    slopes = slopes_of_score(np.array([[1.0], [0.0], [1.0], [1.0]]), root)
    assert np.isfinite(slopes).all() and slopes[0, 0] == pytest.approx(1)


def test_paths_and_masses_that_do_not_grow_have_no_band_over_connections(trained):
    by_paths = neuron_fractal_dimension(trained, nmfa.GEODESIC)
    assert np.isnan(by_paths.error).all() and "connections" not in repr(by_paths)
    assert "no band" in by_paths.plot().get_xlabel()
    assert np.isnan(error_over_connections(np.log([2.0, 3.0]), np.array([[5, 5]]))).all()


def test_a_run_of_one_sample_has_its_errors_in_place_of_a_spread(tmp_path):
    run = load_run("induction")
    one = nmfa.follow(run, samples=1, steps=[0, 724])
    last, row = one.summary().iloc[-1], one.frame().iloc[-1]
    assert last["emergence_error"] == row["emergence_error"] > 0 and np.isnan(last["emergence_sd"])
    assert "standard error over its neurons" in repr(one)
    assert "standard error over the neurons of one sample" in one.plot().get_title()
    two = nmfa.follow(run, samples=2, steps=[0, 724])
    assert "emergence_error" not in two.summary() and "sd over 2 samples" in repr(two)
    again = nmfa.study.Trajectory.load(two.save(tmp_path / "run"))
    assert again.frame("all").equals(two.frame("all"))
    spectrum = analyze(load_network(run.checkpoint(724)).sample(32, seed=0))
    assert row["alpha0_error"] == spectrum.errors.alpha0 and row["width_error"] == spectrum.errors.width


@pytest.mark.small
@pytest.mark.parametrize("law, connections", [("gaussian", 300), ("pareto", 300), ("gaussian", 40)])
def test_bands_of_single_dimensions_hold_the_law_about_as_often_as_they_say(law, connections):
    """400 neurons: 90 % is .90 +- .015; a band of half the width would give .59. (They cover a little less.)"""
    draw, radii = np.random.default_rng(3), np.arange(2.0, 151.0)
    shape = (400, connections)
    gauss = law == "gaussian"
    distances = 1 / np.abs(0.03 * draw.standard_normal(shape)) if gauss else 150 * draw.random(shape) ** (1 / 1.5)
    counts = 1 + np.stack([(distances <= r).sum(axis=1) for r in radii], axis=1)
    share = [math.erfc(1 / (r * 0.03 * math.sqrt(2))) if gauss else (r / 150) ** 1.5 for r in radii]
    fit = weights_of_fit(np.log(radii))
    truth, slopes = fit @ np.log(1 + connections * np.array(share)), np.log(counts) @ fit
    error = error_over_connections(np.log(radii), counts)
    assert 0.7 < np.mean(np.abs(slopes - truth) < NINETY * error) < 0.94


@pytest.mark.small
def test_the_error_of_a_dimension_is_a_sum_over_connections():
    x, masses = [0.0, 0.5, 1.5], [3, 3, 7]
    mean = sum(x) / 3
    c = [(a - mean) / sum((b - mean) ** 2 for b in x) for a in x]
    pulls = [sum(c[r] / masses[r] for r in range(first, 3)) for first in (0, 0, 2, 2, 2, 2)]
    expected = math.sqrt(sum(pull**2 for pull in pulls))
    assert error_over_connections(np.array(x), np.array([masses])) == pytest.approx([expected], rel=1e-12)


def test_plain_errors_count_those_left_out():
    assert plain_error([1.0, 1.0], [0, 0], {0: 2}) == 0
    assert plain_error([1.0, 1.0], [0, 0], {0: 4}) == pytest.approx(math.sqrt(4 / 3))


def test_all_orders_are_those_of_the_paper(trained):
    assert influences_of(analyze(trained), PAPER_Q).shape == (2, 61, 320)
    assert analyze(trained).band("tau").shape == (2, 61)
