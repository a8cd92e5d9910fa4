"""The bootstrap: resampled exponents against plain recomputation, bands against known ones."""

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits
from twins import FEW, WAYS, chain, from_distances, gaussian

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, PUBLISHED, NeuroMFAError, analyze, load_network, load_run
from neuromfa_lite.evaluation.controls import permuted_outgoing
from neuromfa_lite.fractals import ParetoFanOut
from neuromfa_lite.masses.balls import ball_masses
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.plots.curves import plot_tau
from neuromfa_lite.spectrum.spectrum import spectrum_of_masses
from neuromfa_lite.spectrum.spread import Strata, normal_band, strata_of_masses
from neuromfa_lite.study import Confidence, bootstrap
from neuromfa_lite.study.bootstrap import Steps, Weighted, draw_weights, resample, studentised_band

FEW_ORDERS = PAPER.replace(q=(-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0))
BANDS = ("tau_band", "alpha_band", "f_band", "alpha0_band", "width_band")


def network(seed=0, deviation=0.05):
    return chain(gaussian(12, 9, seed=seed, deviation=deviation), gaussian(40, 12, seed=seed + 1, deviation=deviation))


def ones(masses):
    """Every neuron counts once: the sample itself."""
    return np.ones((1, len(masses.layer)))


def flat(spectrum):
    return np.concatenate([[spectrum.alpha0, spectrum.width], spectrum.tau, spectrum.alpha, spectrum.f])


# --- resampled exponents -----------------------------------------------------------------------------------------


@pytest.mark.small
@pytest.mark.parametrize("method", WAYS, ids=lambda method: method.name)
def test_weights_of_one_give_the_spectrum(method):
    masses = count_masses(network(), method)
    spectrum = spectrum_of_masses(masses, method)
    assert Weighted(spectrum).exponents(ones(masses)).values[0] == pytest.approx(flat(spectrum), abs=1e-12)


@pytest.mark.small
@pytest.mark.parametrize("method", WAYS, ids=lambda method: method.name)
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=8)
def test_a_resample_is_the_spectrum_of_the_neurons_drawn_as_often(method, seed):
    masses = count_masses(network(), method)
    neurons = len(masses.layer)
    drawn = np.random.default_rng(seed).integers(0, neurons, neurons)
    weights = np.bincount(drawn, minlength=neurons).astype(float)[None]
    found = Weighted(spectrum_of_masses(masses, method)).exponents(weights).values[0]
    expected = spectrum_of_masses(masses.subset(drawn), method)
    assert found == pytest.approx(flat(expected), abs=1e-10)


@pytest.mark.small
def test_measures_at_the_centres_are_kept():
    measure = np.random.default_rng(0).random(40)
    method = nmfa.SANDBOX.replace(radii=[1.5, 2.5, 4.5, 8.5], q=[-1.0, 0.0, 2.0])
    masses = ball_masses(measure, method)
    drawn = np.random.default_rng(1).integers(0, len(masses.layer), len(masses.layer))
    weights = np.bincount(drawn, minlength=len(masses.layer)).astype(float)[None]
    work = Weighted(spectrum_of_masses(masses, method))
    assert work.exponents(ones(masses)).values[0] == pytest.approx(flat(spectrum_of_masses(masses, method)), abs=1e-12)
    expected = flat(spectrum_of_masses(masses.subset(drawn), method))
    assert work.exponents(weights).values[0] == pytest.approx(expected, abs=1e-10)


def test_influence_is_the_derivative_in_each_neurons_weight():
    masses = count_masses(network(), FEW)
    work = Weighted(spectrum_of_masses(masses, FEW))
    step, neurons = 1e-6, len(masses.layer)
    up, down = (work.exponents(np.ones((neurons, neurons)) + sign * step * np.eye(neurons)).values for sign in (1, -1))
    numeric, point = (up - down) / (2 * step), work.exponents(ones(masses))
    for column, name in enumerate(("alpha0", "width")):
        assert getattr(point, name).pulls[0] == pytest.approx(numeric[:, column], abs=1e-7)
    for column in range(numeric.shape[1]):  # the standard error of every quantity, from the definition
        variance = 0.0
        for layer in np.unique(masses.layer):
            mine = numeric[masses.layer == layer, column]
            variance += len(mine) ** 2 * np.var(mine, ddof=1) / len(mine)
        assert point.errors[0, column] == pytest.approx(np.sqrt(variance), abs=1e-6)


def test_neurons_in_another_order_have_the_same_values_and_errors():
    masses = count_masses(network(), FEW)
    other = masses.subset(np.random.default_rng(0).permutation(len(masses.layer)))
    one, two = (Weighted(spectrum_of_masses(each, FEW)).exponents(ones(each)) for each in (masses, other))
    assert two.values == pytest.approx(one.values, abs=1e-12)
    assert two.errors == pytest.approx(one.errors, abs=1e-12)


def test_blocks_of_any_size_hold_the_same_resamples(monkeypatch):
    some = Strata(np.array([0, 0, 1, 1, 1, 2]), np.array([2, 4, 1]))
    whole = np.concatenate(list(draw_weights(some, 50, seed=3)))
    work = Weighted(spectrum_of_masses(count_masses(network(), FEW), FEW))
    _, values = resample(work.exponents, work.strata, 30, 5)
    monkeypatch.setattr(bootstrap, "LARGEST_BLOCK", 30)
    assert np.array_equal(np.concatenate(list(draw_weights(some, 50, seed=3))), whole)
    _, small = resample(work.exponents, work.strata, 30, 5)
    assert small[0] == pytest.approx(values[0], abs=1e-11) and small[1] == pytest.approx(values[1], abs=1e-11)


def test_resampled_means_spread_as_means_of_samples_do():
    values = np.array([0.0, 1.0, 5.0, 2.0, 2.0, 9.0])
    some = Strata(np.zeros(6, int), np.array([6]))
    weights = np.concatenate(list(draw_weights(some, 40_000, seed=0)))
    assert weights.sum(axis=1) == pytest.approx(6)
    assert (weights @ values / 6).std() == pytest.approx(values.std(ddof=1) / np.sqrt(6), rel=0.02)


def test_strata_are_layers_with_the_neurons_that_the_method_left_out():
    masses = count_masses(network(), FEW.replace(minimum_connections=11))  # leaves out some of the 9 neurons
    used = np.bincount(masses.layer)[:2]
    assert used[0] < 9 and used[1] == 12
    assert strata_of_masses(masses).sizes.tolist() == [9, 12]
    part = masses.subset(masses.layer == 0)
    assert strata_of_masses(part).sizes.tolist() == [used[0]]
    weights = np.concatenate(list(draw_weights(strata_of_masses(masses), 2000, 0)))
    first = weights[:, masses.layer == 0].sum(axis=1)
    assert first.std() > 0.5 and first.mean() == pytest.approx(used[0], abs=0.15)
    assert weights[:, masses.layer == 1].sum(axis=1) == pytest.approx(12)


# --- bands -------------------------------------------------------------------------------------------------------


def test_bands_of_a_normal_law_are_those_of_the_tables():
    values = 3 + np.random.default_rng(0).standard_normal((200_000, 1))
    point = np.array([3.0]), np.ones(1)
    for ends in (studentised_band(point, (values, np.ones_like(values)), 0.9), normal_band(*point, 0.9)):
        assert ends[:, 0] == pytest.approx([3 - 1.645, 3 + 1.645], abs=0.02)


def test_a_bias_of_the_resamples_is_taken_off():
    values = 4 + np.random.default_rng(0).standard_normal((200_000, 1)) * 0.1  # the sample is 3, resamples give 4
    point = np.array([3.0]), np.ones(1)
    assert studentised_band(point, (values, np.ones_like(values)), 0.9).mean() == pytest.approx(2, abs=0.01)
    basic = 2 * point[0] - np.quantile(values, [0.95, 0.05], axis=0)  # with errors of one size
    assert studentised_band(point, (values, np.ones_like(values)), 0.9) == pytest.approx(basic, abs=1e-12)


def test_studentised_bands_cover_means_of_few_skewed_values_better():
    """Known from the textbooks: 15 exponential values, mean 1, nominal 90 %."""
    hits, some = np.zeros(2), Strata(np.zeros(15, int), np.array([15]))
    for attempt in range(400):
        values = np.random.default_rng([1, attempt]).exponential(size=15)
        weights = next(draw_weights(some, 300, attempt))
        means = weights @ values / 15
        errors = np.sqrt((weights @ values**2 / 15 - means**2) / 14)
        point = np.array([values.mean()]), np.array([values.std() / np.sqrt(14)])
        both = studentised_band(point, (means[:, None], errors[:, None]), 0.9), normal_band(*point, 0.9)
        hits += [low <= 1 <= high for low, high in (ends[:, 0] for ends in both)]
    assert 0.86 < hits[0] / 400 < 0.94 and hits[1] / 400 < 0.86


# --- the calls ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps():
    run = load_run("induction")
    return [load_network(run.checkpoint(step)).sample(16, seed=0) for step in (0, 724)]


@pytest.fixture(scope="module")
def bands(steps):
    return nmfa.confidence(steps[1], FEW_ORDERS, resamples=60)


def test_the_same_seed_gives_the_same_bands(steps, bands):
    again = nmfa.confidence(analyze(steps[1], FEW_ORDERS), resamples=60)
    other = nmfa.confidence(steps[1], FEW_ORDERS, resamples=60, seed=1)
    for name in BANDS:
        assert np.array_equal(getattr(again, name), getattr(bands, name)), name
    assert not np.array_equal(other.alpha0_band, bands.alpha0_band)
    assert bands.tau == pytest.approx(analyze(steps[1], FEW_ORDERS).tau)


def test_permuted_outgoing_weights_have_the_same_bands(bands):
    whole = load_network(load_run("induction").checkpoint(724))
    one, two = (nmfa.confidence(each, FEW_ORDERS, resamples=20) for each in (whole, permuted_outgoing(whole)))
    assert np.array_equal(one.tau_band, two.tau_band) and np.array_equal(one.width_band, two.width_band)
    assert "whole" in one.notes[0]


@pytest.mark.parametrize("method", [PUBLISHED, PAPER.replace(convention="standard")], ids=lambda m: m.name)
def test_other_conventions_have_bands(steps, method):
    found = nmfa.confidence(steps[1], method, resamples=40)
    low, high = found.tau_band
    assert (low <= high).all() and found.alpha0_band[0] < found.alpha0 < found.alpha0_band[1]


def test_frame_has_a_row_per_quantity(bands):
    table = bands.frame()
    assert table["quantity"].value_counts().to_dict() == {"tau": 9, "alpha": 9, "f": 9, "alpha0": 1, "width": 1}
    row = table[(table["quantity"] == "tau") & (table["q"] == -1)].iloc[0]
    assert (row["low"], row["high"]) == tuple(bands.tau_band[:, 2])
    assert list(table.columns) == ["quantity", "q", "value", "low", "high", "r2"]
    text, page = repr(bands), bands._repr_html_()
    assert "\n" not in text and page.count("<br>") == 1
    for said in (text, page):
        assert f"{bands.width_band[1]:.4f}" in said and f"{bands.r2:.3f}, curved" in said


def test_bands_survive_a_file(bands, steps, tmp_path):
    again = Confidence.load(bands.save(tmp_path / "bands"))
    assert np.array_equal(again.curves_f, bands.curves_f) and again.notes == bands.notes
    assert repr(again) == repr(bands)
    with pytest.raises(ValueError):
        again.tau_band[0] = 1
    assert again.frame().equals(bands.frame())


def test_pictures_show_the_bands(bands, steps):
    ax = bands.plot()
    assert len(ax.lines) == 1 + len(bands.curves_f) and f"{bands.width_band[0]:.3f}" in ax.get_title()
    assert len(plot_tau(bands).collections) == 1 == len(plot_tau(analyze(steps[1])).collections)


def test_no_room_hides_the_function_of_its_name():
    assert nmfa.confidence is bootstrap.confidence and callable(nmfa.study.redraws)


def test_emergence_of_a_network_against_itself_is_zero_in_every_resample(steps):
    both = Steps([analyze(steps[1], FEW)] * 2)
    point, (values, _) = resample(both.along, both.strata, 40, 0)
    assert point[0][3] == 0 and values[:, [0, 3]] == pytest.approx(0, abs=1e-12)


def test_emergence_is_that_of_the_spectra_and_its_error_that_of_small_changes(steps):
    start, now = (spectrum_of_masses(count_masses(each, FEW), FEW) for each in steps)
    both = Steps([start, now])
    expected = nmfa.study.degree_of_emergence(now.alpha0, now.width, start.alpha0, start.width)
    n, step = len(both.strata.of_neuron), 1e-5
    values, errors = both.along(np.ones((1, n)))
    assert values[0, 3] == pytest.approx(expected, abs=1e-12)
    moved = [both.along(np.ones((n, n)) + sign * step * np.eye(n))[0][:, 3] for sign in (1, -1)]
    influence = (moved[0] - moved[1]) / (2 * step)
    parts = [influence[both.strata.of_neuron == k] for k in range(len(both.strata.sizes))]
    variance = sum(len(part) * np.var(part, ddof=1) for part in parts)
    assert errors[0, 3] == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_neurons_used_at_one_step_only_are_counted_there_alone():
    weights = gaussian(40, 12, seed=4, deviation=0.05)
    short = weights.copy()
    short[:, 3] = np.where(np.arange(40) < 4, short[:, 3], 0.001)  # neuron 3 has no more connections in the window
    masses = [count_masses(chain(each), FEW_ORDERS) for each in (weights, short)]
    start, now = (spectrum_of_masses(each, FEW_ORDERS) for each in masses)
    both = Steps([start, now])
    assert [len(each) for each in both.places] == [12, 11] and both.strata.sizes.tolist() == [12]
    assert len(Steps([now, start]).strata.of_neuron) == 12
    drawn = np.ones((1, 12))
    drawn[0, 3] = 0  # without it the start is analyzed without it, and now does not change
    expected = spectrum_of_masses(masses[0].subset(np.arange(12) != 3), FEW_ORDERS)
    score = nmfa.study.degree_of_emergence(now.alpha0, now.width, expected.alpha0, expected.width)
    assert both.along(drawn)[0][0, 3] == pytest.approx(score, abs=1e-10)


def test_redraws_reach_from_the_smallest_to_the_largest_sample():
    whole = load_network(load_run("induction").checkpoint(724))
    found = nmfa.study.redraws(whole, 16, samples=5)
    spectra = [analyze(whole.sample(16, seed)) for seed in range(5)]
    widths = [each.width for each in spectra]
    assert found.width_band.tolist() == [min(widths), max(widths)] and found.width == pytest.approx(np.mean(widths))
    assert found.level == pytest.approx(4 / 6) and nmfa.study.redraws(whole, 16).level == 0.9
    assert found.tau_band[1] == pytest.approx(np.max([each.tau for each in spectra], axis=0))
    assert found.kind == "redraws" and "5 samples" in repr(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0}, "level=0"),
        ({"level": 1.0}, "level=1.0"),
        ({"level": "90 %"}, "level='90 %'"),
        ({"resamples": 19}, "resamples=19"),
        ({"resamples": 100.0}, "resamples=100.0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_options_are_refused_by_name(steps, options, message):
    with pytest.raises(NeuroMFAError, match=message):
        nmfa.confidence(steps[1], FEW, **options)


def test_what_has_no_spread_or_no_masses_is_refused(steps, tmp_path):
    one = from_distances([[2, 3, 4, 5, 8]])
    loose = PAPER.replace(minimum_connections=1)
    with pytest.raises(NeuroMFAError, match="spread"):
        nmfa.confidence(analyze(one, loose, centres=[0]), resamples=20)
    read = nmfa.spectrum.Spectrum.load(analyze(steps[0]).save(tmp_path / "s"))
    with pytest.raises(NeuroMFAError, match="no masses"):
        nmfa.confidence(read)
    with pytest.raises(NeuroMFAError, match="computed with method 'paper'"):
        nmfa.confidence(analyze(steps[0]), nmfa.SCALE_FREE)
    with pytest.raises(NeuroMFAError, match="takes a NeuronNetwork"):
        nmfa.confidence("induction")
    with pytest.raises(NeuroMFAError, match="not a sample"):
        nmfa.study.redraws(steps[0])
    with pytest.raises(NeuroMFAError, match="samples=1"):
        nmfa.study.redraws(network(), samples=1)


# --- coverage ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulation():
    """The program that measures how often bands hold the truth."""
    place = Path(__file__).parents[2] / "benchmarks" / "band_coverage.py"
    spec = importlib.util.spec_from_file_location("band_coverage", place)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def test_own_radii_are_those_the_method_finds_for_these_neurons(simulation):
    whole = ParetoFanOut(1.5, 60, 40).network()
    drawn = np.arange(0, 60, 7)
    found = simulation.own_radii(count_masses(whole).subset(drawn))
    expected = count_masses(whole, centres=drawn)
    assert np.array_equal(found.radii, expected.radii) and np.array_equal(found.counts, expected.counts)


def test_coverage_of_neurons_that_are_alike_in_law(simulation):
    """150 simulations: 90 % give .90 +- .024; a band of half the width would give about .59."""
    population = ParetoFanOut(1.5, 600, 200).network()
    table = simulation.measure_coverage(population, share=0.1, simulations=150, resamples=100)
    given = table[table["radii"] == "population"].set_index(["kind", "quantity"])
    for quantity in ("alpha0", "tau(-0.5)", "tau(0.5)", "tau(1)"):
        row = given.loc["studentised", quantity]
        assert 0.83 <= row["coverage"] <= 0.96, quantity
        assert abs(row["bias"]) < 0.25 * row["sd"]
    assert given.loc["normal", "width"]["coverage"] < given.loc["studentised", "width"]["coverage"]
    page = simulation.page(table.assign(recipe="Pareto", neurons=60, limit="", bias_against_limit=0.0), table[:2], 150)
    cell = " / ".join(f"{given.loc[kind, 'alpha0']['coverage']:.2f}"[1:] for kind in ("normal", "studentised"))
    assert f"| Pareto, 60 neurons | given | {cell} |" in page


# --- threads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads_of_algebra", [1, 2, 3])
def test_bands_are_the_same_in_every_thread_and_leave_linear_algebra_alone(threads_of_algebra):
    """With 101 rows a library's products depend on its number of threads, which is one number for a whole process."""
    what = analyze(chain(gaussian(150, 333)))
    expected, found = nmfa.confidence(what, resamples=101), {}

    def ask(thread):
        found[thread] = nmfa.confidence(what, resamples=101)

    with threadpool_limits(threads_of_algebra, "blas"):
        before = [each["num_threads"] for each in threadpool_info()]
        threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [each["num_threads"] for each in threadpool_info()] == before
    for thread in range(3):
        for name in (*BANDS, "curves_alpha", "curves_f"):
            np.testing.assert_array_equal(getattr(found[thread], name), getattr(expected, name))
