"""Spectra: equal to the plain loops, true to the exact identities, and never without their warnings."""

import math

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import chain, counterexample, edge_lists, from_distances, gaussian

from neuromfa_lite import PAPER, PUBLISHED, SCALE_FREE, NeuroMFAError, NeuronNetwork, analyze, load_network, load_run
from neuromfa_lite.kernels.partition import log_partition
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.spectrum import Spectrum, neuron_fractal_dimension, spectrum_of_masses
from neuromfa_lite.spectrum.partition import log_masses
from neuromfa_lite.spectrum.spectrum import _forward

FORWARD_SCALE_FREE = SCALE_FREE.replace(derivative="forward", name="scale-free forward")
METHODS = [PAPER, PUBLISHED, SCALE_FREE, FORWARD_SCALE_FREE]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def oracle_masses(network, method):
    """(radii, masses) of the plain loops."""
    paper = method.radii == "integer"
    return (oracle.paper_masses if paper else oracle.scale_free_masses)(edge_lists(network))


def same_as_oracle(network, method):
    """tau within 1e-12; alpha, f, alpha0 and width within 1e-10, however the derivative is taken."""
    spectrum = analyze(network, method)
    radii, masses = oracle_masses(network, method)
    expected = oracle.spectrum(radii, masses, q=method.q, derivative=method.derivative)
    assert spectrum.neurons_used == len(masses)
    np.testing.assert_allclose(spectrum.radii, radii, rtol=1e-14)
    np.testing.assert_allclose(spectrum.tau, expected["tau"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(spectrum.alpha, expected["alpha"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(spectrum.f, expected["f"], rtol=0, atol=1e-10)
    assert spectrum.width == pytest.approx(expected["width"], abs=1e-10)
    if method.derivative == "exact":
        assert spectrum.alpha0 == pytest.approx(expected["alpha0"], abs=1e-10)
    else:  # rounding decides between the two intervals that meet at q = 0; both hold the maximum of f
        top = np.flatnonzero(np.array(expected["f"]) > max(expected["f"]) - 1e-9)
        assert min(abs(spectrum.alpha0 - expected["alpha"][k]) for k in top) < 1e-10


def first_at_the_top(alpha, f):
    """alpha of the first interval whose f is the largest up to rounding."""
    for each, value in zip(alpha, f, strict=True):
        if all(value > other - 1e-12 for other in f):
            return each


@pytest.mark.small
def test_where_two_intervals_tie_the_published_alpha0_is_that_of_the_first():
    """tau(0) = 0 makes f zero on both sides of q = 0; rounding alone would now and then choose the second."""
    draw, by_rounding = np.random.default_rng(0), []
    for step, rise in draw.random((200, 2)):
        alpha, f, alpha0 = _forward(np.array([-step, 0, step]), np.array([-rise, 0, rise / 2]))
        assert alpha0 == first_at_the_top(alpha.tolist(), f.tolist()) == alpha[0]
        by_rounding.append(int(np.argmax(f)))
    assert set(by_rounding) == {0, 1}


# the same as the plain loops


@pytest.mark.small
@every_method
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dense_network(method, dtype):
    same_as_oracle(chain(gaussian(23, 9, dtype=dtype), gaussian(15, 23, dtype=dtype, seed=1)), method)


@every_method
def test_larger_dense_network(method):
    same_as_oracle(chain(gaussian(256, 64, deviation=0.02), gaussian(64, 256, deviation=0.03, seed=1)), method)


@pytest.mark.small
@every_method
def test_list_of_edges(method):
    draw = np.random.default_rng(5)
    sources, targets = draw.integers(0, 9, 250), draw.integers(0, 30, 250)
    same_as_oracle(NeuronNetwork.from_edges(sources, targets, draw.standard_t(2, 250) * 0.03), method)


@every_method
@pytest.mark.parametrize("step, seed", [(0, 0), (724, 1)])
def test_sampled_checkpoint_of_a_trained_network(method, step, seed):
    """Half precision in the file, one sample as the paper draws it."""
    network = load_network(load_run("induction").checkpoint(step)).sample(32, seed=seed)
    same_as_oracle(network, method)


def test_whole_trained_network():
    network = load_network(load_run("induction").checkpoint(724))
    same_as_oracle(network, PAPER.replace(q=(-3.0, -0.7, 0.0, 1.0, 3.0), derivative="forward"))


@pytest.mark.small
@pytest.mark.parametrize("q", [(0.0,), (2.0,), (-1.0, 0.5), (-3.0, 0.1, 7.0), tuple(np.linspace(-12, 12, 9))])
@pytest.mark.parametrize("derivative", ["exact", "forward"])
def test_any_list_of_q(q, derivative):
    if len(q) > 1 or derivative == "exact":
        same_as_oracle(chain(gaussian(20, 6)), PAPER.replace(q=q, derivative=derivative))


@pytest.mark.small
@every_method
def test_the_kernel_the_plain_loops_and_the_public_call_agree(method):
    network = chain(gaussian(30, 8))
    masses = count_masses(network, method)
    radii, by_loops = oracle_masses(network, method)
    logs, q = log_masses(masses, method), np.array(method.q)
    log_z, mean_log = np.empty((len(q), len(masses.radii))), np.empty((len(q), len(masses.radii)))
    log_partition(logs, q, log_z, mean_log, None)
    np.testing.assert_allclose(log_z, analyze(network, method).log_partition, atol=1e-13)
    log_mu = oracle.log_measure(by_loops)
    for j in (0, 17, 30, 60):
        np.testing.assert_allclose(log_z[j], oracle.log_partition(log_mu, q[j]), atol=1e-12)
        np.testing.assert_allclose(mean_log[j], oracle.weighted_log_measure(log_mu, q[j]), atol=1e-12)
        assert oracle.slope(oracle.relative_log_radii(radii), log_z[j].tolist()) == pytest.approx(
            analyze(network, method).tau[j], abs=1e-12
        )


# exact identities


def networks():
    """Some networks, very different from each other."""
    draw = np.random.default_rng(8)
    return {
        "gaussian": chain(gaussian(40, 12)),
        "two layers": chain(gaussian(40, 12, deviation=0.01), gaussian(25, 40, deviation=0.2, seed=1)),
        "heavy tails": chain((draw.standard_cauchy((60, 9)) * 0.02).astype(np.float32)),
        "counterexample": counterexample(),
        "one neuron": from_distances([range(2, 40)]),
    }


@pytest.mark.small
@every_method
@pytest.mark.parametrize("name", networks())
def test_tau_and_f_vanish_at_q_0(name, method):
    spectrum = analyze(networks()[name], method)
    zero = int(np.flatnonzero(spectrum.q == 0)[0])
    assert spectrum.tau[zero] == 0.0
    assert spectrum.f[zero] == 0.0
    if method.derivative == "exact":
        assert spectrum.alpha0 == pytest.approx(spectrum.alpha[zero], rel=1e-14)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
@pytest.mark.parametrize("name", networks())
def test_alpha0_is_the_mean_dimension_on_the_common_radii(name, method):
    network = networks()[name]
    mean = neuron_fractal_dimension(network, method)["dimension"].mean()
    assert analyze(network, method).alpha0 == pytest.approx(mean, abs=1e-12)


@pytest.mark.small
@given(st.integers(0, 999), st.floats(0.01, 0.5), st.integers(1, 8))
@settings(deadline=None, max_examples=25)
def test_alpha0_is_the_mean_slope_of_any_network(seed, deviation, sources):
    network = chain(gaussian(30, sources, deviation=deviation, seed=seed))
    mean = neuron_fractal_dimension(network, SCALE_FREE)["dimension"].mean()
    assert analyze(network, SCALE_FREE).alpha0 == pytest.approx(mean, abs=1e-12)


@pytest.mark.small
@pytest.mark.parametrize("q", [(1.0, 2.0), (-3.0, -1.0), (-0.5, 0.5)])
def test_alpha0_is_alpha_at_q_0_whether_or_not_0_is_in_the_list(q):
    network = counterexample()
    assert analyze(network, PAPER.replace(q=q)).alpha0 == pytest.approx(analyze(network).alpha0, abs=1e-13)


@pytest.mark.small
@every_method
@given(seed=st.integers(0, 999))
@settings(deadline=None, max_examples=15)
def test_permuting_and_resigning_a_neurons_weights_changes_nothing(method, seed):
    weights = gaussian(30, 5, seed=seed)
    draw = np.random.default_rng(seed)
    moved = draw.permuted(weights, axis=0) * draw.choice(np.float32([-1, 1]), weights.shape)
    before, after = analyze(chain(weights), method), analyze(chain(moved), method)
    for name in ("tau", "alpha", "f", "alpha0", "width", "r2"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)


@pytest.mark.small
@given(seed=st.integers(0, 999), power=st.integers(-20, 20))
@settings(deadline=None, max_examples=15)
def test_a_common_factor_leaves_the_scale_free_spectrum_exactly_alone(seed, power):
    weights = gaussian(30, 5, seed=seed)
    before = analyze(chain(weights), SCALE_FREE)
    after = analyze(chain(weights * np.float32(2.0**power)), SCALE_FREE)
    for name in ("tau", "alpha", "alpha0", "width"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)


@pytest.mark.small
def test_a_factor_per_matrix_leaves_the_scale_free_spectrum_exactly_alone():
    first, second = gaussian(30, 5), gaussian(12, 30, seed=1)
    before = analyze(chain(first, second), SCALE_FREE)
    after = analyze(chain(first * np.float32(8), second / np.float32(16)), SCALE_FREE)
    np.testing.assert_array_equal(before.tau, after.tau)


@pytest.mark.small
def test_a_common_factor_moves_the_papers_spectrum():
    """What the fixed window does to weights that only grew: taught, not hidden."""
    weights = gaussian(60, 12, deviation=0.02)
    assert analyze(chain(weights * np.float32(2))).alpha0 < analyze(chain(weights)).alpha0 - 0.02


@pytest.mark.small
def test_the_exact_derivative_is_the_limit_of_the_forward_difference():
    network = chain(gaussian(40, 12))
    for q in (-2.5, 0.0, 1.3):
        step = 1e-5
        close = analyze(network, PAPER.replace(q=(q - step, q + step), derivative="forward")).alpha[0]
        assert analyze(network, PAPER.replace(q=(q,))).alpha[0] == pytest.approx(close, abs=1e-8)


# known answers


@pytest.mark.small
def test_a_single_neuron_has_no_width_and_f_0():
    spectrum = analyze(from_distances([range(2, 60)]))
    assert spectrum.width < 1e-12 and np.abs(spectrum.f).max() < 1e-12
    assert spectrum.alpha0 == pytest.approx(1.0, abs=1e-12)  # its mass at radius r is r


@pytest.mark.small
def test_equal_neurons_have_no_width():
    spectrum = analyze(from_distances([[2, 3, 5, 8, 13, 21, 34, 55, 89, 100, 120, 140]] * 12))
    assert spectrum.width < 1e-12
    assert not any("concave" in flag or "f reaches" in flag for flag in spectrum.flags)


@pytest.mark.small
def test_constant_masses_have_exponent_0():
    """All of a neuron's connections lie within the smallest of the radii that were asked for."""
    method = PAPER.replace(radii=(50.0, 100.0, 150.0))
    spectrum = analyze(from_distances([[2] * 12, [3] * 15]), method)
    assert (spectrum.tau == 0).all() and spectrum.alpha0 == 0 and spectrum.width == 0
    assert spectrum.r2 == 1


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_pareto_weights_have_alpha0_equal_to_their_tail_exponent(exponent):
    """P(d <= r) ~ r^m: the slope is m, up to the noise of the ~.02 x fan-out connections within the first radius."""
    neurons, fan_out = 60, 5000
    uniform = np.random.default_rng(3).random((fan_out, neurons))
    spectrum = analyze(chain(uniform ** (-1 / exponent)), SCALE_FREE)
    fewest = 0.02 * fan_out
    bound = 1 / fewest + 4 / math.sqrt(fewest * neurons)  # of ln N there: bias and four deviations of the mean
    assert spectrum.alpha0 == pytest.approx(exponent, abs=exponent * bound)
    assert spectrum.r2 > 0.999


# quality


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, PUBLISHED], ids=lambda method: method.name)
def test_the_counterexample_is_flagged(method):
    """Least squares over many radii does not make tau concave: f reaches +.055 where theory says at most 0."""
    spectrum = analyze(counterexample(), method)
    assert spectrum.f.max() == pytest.approx(0.055, abs=2e-3)
    assert any("not concave" in flag for flag in spectrum.flags)
    assert any("f reaches" in flag for flag in spectrum.flags)
    assert any("too few neurons: 2" in flag for flag in spectrum.flags)


@pytest.mark.small
def test_alpha0_of_the_counterexample_stays_at_q_0():
    spectrum = analyze(counterexample())
    assert spectrum.alpha0 == pytest.approx(spectrum.alpha[30], rel=1e-14)
    assert np.argmax(spectrum.f) != 30


@pytest.mark.small
def test_a_curved_fit_is_flagged_and_a_straight_one_is_not():
    curved = analyze(from_distances([[2, 3, 5, 9, 20, 60, 110, 120, 130] + [140] * 90] * 12))
    assert curved.r2 < 0.9 and any(flag.startswith("curved") for flag in curved.flags)
    straight = analyze(from_distances([range(2, 151)] * 12))
    assert straight.r2 == pytest.approx(1, abs=1e-12) and straight.flags == ()


@pytest.mark.small
def test_r2_and_residuals_belong_to_the_lines():
    spectrum = analyze(chain(gaussian(30, 12)))
    x = np.log(spectrum.radii / spectrum.radii[-1])
    for j in (0, 12, 55):
        slope, intercept = np.polyfit(x, spectrum.log_partition[j], 1)
        residuals = spectrum.log_partition[j] - slope * x - intercept
        assert spectrum.tau[j] == pytest.approx(slope, abs=1e-10)
        np.testing.assert_allclose(spectrum.residuals[j], residuals, atol=1e-10)
        expected = 1 - residuals.var() / spectrum.log_partition[j].var()
        assert spectrum.r2_by_q[j] == pytest.approx(expected, abs=1e-9)
    assert spectrum.r2 == spectrum.r2_by_q.min()


# bad input


@pytest.mark.small
def test_a_single_radius_is_no_line():
    with pytest.raises(NeuroMFAError, match="at least two different radii"):
        analyze(from_distances([[7] * 20] * 3))
    with pytest.raises(NeuroMFAError, match="at least two different radii"):
        analyze(chain(np.full((20, 3), 0.25, np.float32)), SCALE_FREE)


@pytest.mark.small
@pytest.mark.parametrize("derivative", ["exact", "forward"])
@pytest.mark.parametrize("q", [(), (1.0, math.nan), (0.0, math.inf), (1.0, 0.0), (0.0, 0.0, 1.0), ((0.0, 1.0),), "ten"])
def test_q_that_cannot_be_used_is_refused(q, derivative):
    with pytest.raises(NeuroMFAError, match=r"q must be|q is empty"):
        PAPER.replace(q=q, derivative=derivative)


@pytest.mark.small
def test_the_forward_difference_needs_two_q():
    with pytest.raises(NeuroMFAError, match="at least two q"):
        PUBLISHED.replace(q=(0.0,))


@pytest.mark.small
@pytest.mark.parametrize("mass", [lambda n: n[:, :-1], lambda n: 0.0 * n, lambda n: np.nan * n, lambda n: -1.0 * n])
def test_a_mass_function_that_gives_no_masses_is_refused(mass):
    with pytest.raises(NeuroMFAError, match=r"mass of method .* positive finite"):
        analyze(chain(gaussian(30, 4)), PAPER.replace(mass=mass))


# the result


@pytest.mark.small
def test_any_mass_function_is_used():
    network = chain(gaussian(30, 6))
    same = analyze(network, PAPER.replace(mass=lambda n: n / n[:, -1:]))
    np.testing.assert_allclose(same.tau, analyze(network).tau, atol=1e-12)
    with_total = analyze(network, PAPER.replace(mass=lambda n: n / n.sum(axis=1, keepdims=True)))
    assert abs(with_total.tau[0] - same.tau[0]) > 1e-3


@pytest.mark.small
@every_method
def test_lengths_follow_the_derivative(method):
    spectrum = analyze(chain(gaussian(30, 12)), method)
    n = 60 if method.derivative == "forward" else 61
    assert len(spectrum.tau) == len(spectrum.r2_by_q) == 61
    assert len(spectrum.alpha) == len(spectrum.f) == len(spectrum.frame()) == n
    np.testing.assert_array_equal(spectrum.frame()["q"], spectrum.q[:n])


@pytest.mark.small
def test_it_is_read_only_and_shown_with_its_warnings():
    spectrum = analyze(counterexample())
    with pytest.raises(ValueError):
        spectrum.tau[0] = 1
    assert "too few neurons: see .flags" in repr(spectrum) and "not concave" in "; ".join(spectrum.flags)
    assert "&#9888; too few neurons" in spectrum._repr_html_()


@pytest.mark.small
def test_file_and_back(tmp_path):
    spectrum = analyze(chain(gaussian(30, 12)))
    back = Spectrum.load(spectrum.save(tmp_path / "spectrum.npz"))
    for name in ("q", "tau", "alpha", "f", "alpha0", "width", "r2", "residuals", "flags", "method_key", "source_hash"):
        np.testing.assert_array_equal(getattr(spectrum, name), getattr(back, name))
    with pytest.raises(NeuroMFAError, match="masses"):
        back.by("layer")


@pytest.mark.small
def test_split_by_layer():
    network = chain(gaussian(30, 12), gaussian(20, 30, seed=1))
    spectrum = analyze(network)
    parts = spectrum.by("layer")
    assert list(parts) == ["layer 0", "layer 1"]
    used = {name: part.neurons_used for name, part in parts.items()}
    mean = sum(part.alpha0 * used[name] for name, part in parts.items()) / sum(used.values())
    assert mean == pytest.approx(spectrum.alpha0, abs=1e-12)  # alpha0 is a mean over neurons, on the same radii
    masses = count_masses(network)
    alone = spectrum_of_masses(masses.subset(masses.labels("layer") == "layer 1"))
    np.testing.assert_array_equal(alone.tau, parts["layer 1"].tau)
