"""Bands along a run: those of single steps, and on the pictures of a trajectory where they are asked for."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, NeuroMFAError, load_network, load_run, trajectory_confidence
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.plots.curves import plot_heterogeneity, plot_regularity, plot_trajectory
from neuromfa_lite.spectrum.spectrum import spectrum_of_masses
from neuromfa_lite.study import Confidence
from neuromfa_lite.study.bootstrap import ALONG, Weighted, draw_weights

STEPS = [0, 128, 724]
PLOTS = {"emergence": plot_trajectory, "alpha0": plot_regularity, "width": plot_heterogeneity}


@pytest.fixture(scope="module")
def run():
    return load_run("induction")


@pytest.fixture(scope="module")
def bands(run):
    return trajectory_confidence(run, neurons_per_layer=16, steps=STEPS, resamples=60)


@pytest.fixture(scope="module")
def history(run):
    return nmfa.follow(run, samples=5, neurons_per_layer=16, steps=STEPS)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def sample(run, step):
    return load_network(run.checkpoint(step)).sample(16, seed=0)


def test_bands_are_those_of_single_steps(run):
    """With 32 neurons a layer all are used at these steps, so that the same ones are drawn."""
    bands = trajectory_confidence(run, steps=STEPS, resamples=40)
    for place, step in enumerate(STEPS):
        one = nmfa.confidence(load_network(run.checkpoint(step)).sample(32, seed=0), resamples=40)
        assert bands.neurons == one.neurons == 320
        for name in ("alpha0", "width"):
            assert getattr(bands, name)[place] == pytest.approx(getattr(one, name), abs=1e-12)
            assert getattr(bands, f"{name}_band")[:, place] == pytest.approx(getattr(one, f"{name}_band"), abs=1e-12)
    assert np.abs(bands.emergence_band[:, 0]).max() < 1e-12  # the untrained network against itself


def test_the_values_are_those_of_the_first_sample_that_follow_draws(history, bands):
    rows = history.frame().query("sample == 0")
    for name in ALONG:
        assert getattr(bands, name) == pytest.approx(rows[name].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("choice", [{"radii_scope": "run"}, {"wiring": "both-directions"}], ids=str)
def test_common_radii_and_joins_are_those_of_follow(run, choice):
    method = PAPER.replace(**choice)
    found = trajectory_confidence(run, method, 16, STEPS, resamples=20)
    rows = nmfa.follow(run, method, samples=1, neurons_per_layer=16, steps=STEPS).frame()
    assert found.alpha0 == pytest.approx(rows["alpha0"].to_numpy(), abs=1e-12)
    assert found.emergence == pytest.approx(rows["emergence"].to_numpy(), abs=1e-12)
    assert found.method_key == method.key


@pytest.mark.parametrize("method", [PAPER, nmfa.PUBLISHED, PAPER.replace(q=(-2.0, 0.5, 1.0))], ids=lambda m: m.name)
def test_alpha0_and_width_alone_are_what_all_estimates_begin_with(run, method):
    work = Weighted(spectrum_of_masses(count_masses(sample(run, 724), method), method))
    (weights,) = draw_weights(work.strata, 30, 3)
    short, full = work.exponents(weights, every=False), work.exponents(weights)
    assert np.array_equal(short.values, full.values[:, :2]) and np.array_equal(short.errors, full.errors[:, :2])
    for one, other in ((short.alpha0, full.alpha0), (short.width, full.width)):
        assert np.array_equal(one.value, other.value) and np.array_equal(one.pulls, other.pulls)


def test_bands_survive_a_file(bands, tmp_path):
    again = Confidence.load(bands.save(tmp_path / "bands"))
    assert again.frame().equals(bands.frame()) and repr(again) == repr(bands) and again.notes == bands.notes
    low, high = bands.emergence_band[:, -1]
    for text in (repr(bands), bands._repr_html_()):
        assert f"{bands.emergence[-1]:.4f} [{low:.4f} \u2026 {high:.4f}]" in text and f"{bands.r2.min():.3f}, " in text
    table = bands.frame()
    assert (table["width_low"] <= table["width"]).all() and (table["width"] <= table["width_high"]).all()


def shaded(ax):
    """(low, high) of the only band of a picture, at each of its steps."""
    (fill,) = ax.collections
    corners = fill.get_paths()[0].vertices
    return tuple(np.array([pick(corners[corners[:, 0] == step, 1]) for step in STEPS]) for pick in (min, max))


def said(ax):
    return ax.get_title().replace("\n", " ")


@pytest.mark.parametrize("name", ALONG)
def test_a_trajectory_shows_the_band_that_was_asked_for(history, bands, name):
    plain, redrawn, resampled = (PLOTS[name](history, bands=which) for which in (None, "redraws", bands))
    rows, table = history.frame().groupby("step")[name], history.summary()
    assert shaded(redrawn)[0] == pytest.approx(rows.min()) and shaded(redrawn)[1] == pytest.approx(rows.max())
    assert "probability 0.67, by symmetry" in said(redrawn)  # 5 samples: 4/6
    assert shaded(plain)[1] == pytest.approx(table[name] + table[f"{name}_sd"])
    assert said(plain) == "band: \u00b1 standard deviation over samples"
    assert shaded(resampled) == pytest.approx(getattr(bands, f"{name}_band"))
    assert "60 resamples of its neurons, nominal 90%" in said(resampled)
    alone = bands.plot(quantity=name)
    assert shaded(alone) == pytest.approx(getattr(bands, f"{name}_band")) and "nominal 90%" in said(alone)
    assert alone.lines[0].get_ydata() == pytest.approx(getattr(bands, name))


def test_the_plot_of_a_trajectory_takes_bands_too(history, bands):
    ax = plt.figure().subplots()
    assert history.plot(ax=ax, bands=bands) is ax
    assert len(ax.collections) == 1 and "nominal" in said(ax)


def test_other_bands_are_refused(history, bands):
    control = trajectory_confidence(load_run("induction-control"), neurons_per_layer=16, steps=[0, 724], resamples=20)
    one = nmfa.confidence(sample(load_run("induction"), 724), resamples=20)
    for wrong in ("percentile", 0.9, control, one, history):
        with pytest.raises(NeuroMFAError, match="induction"):
            history.plot(bands=wrong)
    single = nmfa.follow(load_run("induction"), samples=1, steps=[0, 724])
    with pytest.raises(NeuroMFAError, match="1 sample spans no band"):
        single.plot(bands="redraws")
    with pytest.raises(NeuroMFAError, match="resamples=3"):
        trajectory_confidence(load_run("induction"), resamples=3)
