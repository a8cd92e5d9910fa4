"""The plain-loop rendering of the method against answers that can be worked out by hand."""

import itertools
import math
import random

import oracle
import pytest

pytestmark = pytest.mark.small


def neuron(name, distances):
    """The connections of one neuron with the given distances."""
    return [(name, f"{name}{number}", 1.0 / d) for number, d in enumerate(distances)]


# distances and masses


def test_distance_is_one_over_the_absolute_weight():
    edges = [("a", "x", 0.5), ("a", "y", -0.25), ("a", "z", 0.0), ("b", "x", -4.0)]
    assert oracle.one_hop_distances(edges) == {"a": [2.0, 4.0], "b": [0.25]}


def test_a_weight_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="'a'"):
        oracle.one_hop_distances([("a", "x", math.nan)])


def test_a_source_in_two_matrices_is_one_neuron():
    assert oracle.all_distances([[("a", "x", 0.5)], [("a", "y", 0.25)]]) == {"a": [2.0, 4.0]}


def test_masses_count_the_neuron_itself():
    assert oracle.mass_curve([5, 2, 2, 9], [1, 2, 5, 8, 9]) == [1, 3, 4, 4, 5]


def test_the_window_is_open_below_and_closed_above():
    radii, masses = oracle.paper_masses([neuron("a", [2.0] * 10 + [1.0, 0.5, 128.0, 151.0])])
    assert radii == [2, 128]  # 1 and below and beyond 150 are gone
    assert masses == {"a": [11, 12]}
    weight_of_150 = 1 / 150.0
    assert 1 / weight_of_150 == 150.0
    radii, masses = oracle.paper_masses([[("a", k, w) for k, w in enumerate([0.5] * 10 + [weight_of_150])]])
    assert radii == [2, 150]


def test_halves_round_to_the_even_number():
    assert 1 / 0.4 == 2.5 and 1 / 0.08 == 12.5
    radii, _ = oracle.paper_masses([[("a", k, w) for k, w in enumerate([0.4] * 6 + [0.08] * 6)]])
    assert radii == [2, 12]


def test_ten_distances_are_too_few_and_eleven_are_enough():
    with pytest.raises(ValueError, match="more than ten"):
        oracle.paper_masses([neuron("a", range(2, 12))])
    radii, masses = oracle.paper_masses([neuron("a", range(2, 13)) + neuron("b", range(20, 30))])
    assert radii == list(range(2, 13))  # b is dropped and leaves no radius behind
    assert masses == {"a": list(range(2, 13))}


def test_quantiles_and_medians_by_hand():
    assert oracle.quantile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert oracle.quantile([1.0, 2.0, 4.0], 0.25) == 1.5
    assert oracle.quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert oracle.quantile([7.0], 0.02) == 7.0
    assert oracle.median([4.0, 1.0, 2.0]) == 2.0
    assert oracle.median([4.0, 1.0, 2.0, 8.0]) == 3.0


def test_scale_free_masses_by_hand():
    # one matrix, distances 1 .. 101 in units of their median 51; the quantiles are distances 3 and 91
    radii, masses = oracle.scale_free_masses([neuron("a", range(1, 102))])
    assert radii[0] == pytest.approx(3 / 51, rel=1e-14) and radii[-1] == pytest.approx(91 / 51, rel=1e-14)
    assert len(radii) == 20
    ratios = [b / a for a, b in itertools.pairwise(radii)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-13)
    expected = [1 + sum(1 for d in range(1, 102) if d / 51 <= r * (1 + 1e-12)) for r in radii]
    assert [abs(a - b) <= 1 for a, b in zip(masses["a"], expected, strict=True)] == [True] * 20


def test_scale_free_masses_do_not_see_the_scale():
    draw = random.Random(0)
    small = [(k % 7, k, draw.gauss(0, 0.02)) for k in range(300)]
    large = [(source, target, 4096 * weight) for source, target, weight in small]
    assert oracle.scale_free_masses([small]) == oracle.scale_free_masses([large])


# the line and the spectrum


def test_slope_of_a_straight_line():
    assert oracle.slope([0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 5.0, 11.0]) == pytest.approx(2.0, rel=1e-15)


def test_one_radius_is_no_line():
    with pytest.raises(ValueError, match="two different radii"):
        oracle.slope([1.0], [1.0])


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_single_power_law_neuron_has_one_exponent(dimension):
    radii = [1, 2, 4, 8]
    result = oracle.spectrum(radii, {"a": [r**dimension for r in radii]})
    assert result["tau"] == pytest.approx([dimension * q for q in result["q"]], abs=1e-13)
    assert result["alpha"] == pytest.approx([dimension] * 61, abs=1e-13)
    assert result["f"] == pytest.approx([0.0] * 61, abs=1e-13)
    assert result["alpha0"] == pytest.approx(dimension, rel=1e-14)
    assert result["width"] == pytest.approx(0.0, abs=1e-13)


def test_equal_neurons_have_the_exponents_of_one():
    radii = [1, 3, 7]
    one = oracle.spectrum(radii, {"a": [2, 5, 6]})
    three = oracle.spectrum(radii, {"a": [2, 5, 6], "b": [2, 5, 6], "c": [2, 5, 6]})
    for name in ("tau", "alpha", "f"):
        assert three[name] == pytest.approx(one[name], abs=1e-13)


def test_two_neurons_and_two_radii_in_closed_form():
    # mu = (1/4, 1) and (1/16, 1): Z_q(1) = 4^-q + 16^-q, Z_q(2) = 2, the line through two points is exact
    result = oracle.spectrum([1, 2], {"a": [1, 4], "b": [1, 16]})
    for q, tau, alpha in zip(result["q"], result["tau"], result["alpha"], strict=True):
        assert tau == pytest.approx(-math.log((4**-q + 16**-q) / 2) / math.log(2), abs=1e-13)
        assert alpha == pytest.approx((2 * 4**-q + 4 * 16**-q) / (4**-q + 16**-q), rel=1e-13)
    assert result["alpha0"] == pytest.approx(3.0, rel=1e-14)  # the mean of 2 and 4


def test_the_forward_difference_by_hand():
    result = oracle.spectrum([1, 2], {"a": [1, 4], "b": [1, 16]}, q=[-1, 0, 1], derivative="forward")
    tau = [-math.log(10) / math.log(2), 0.0, -math.log(5 / 32) / math.log(2)]
    assert result["tau"] == pytest.approx(tau, abs=1e-14)
    assert result["alpha"] == pytest.approx([-tau[0], tau[2]], rel=1e-14)
    assert result["f"] == pytest.approx([0.0, 0.0], abs=1e-14)
    assert result["width"] == pytest.approx(-tau[0] - tau[2], rel=1e-13)


def test_alpha0_needs_no_zero_among_the_q():
    radii, masses = [1, 2, 5], {"a": [1, 4, 5], "b": [2, 3, 9]}
    assert oracle.spectrum(radii, masses, q=[1, 2])["alpha0"] == oracle.spectrum(radii, masses)["alpha0"]


def counterexample():
    """Two neurons whose spectrum is not concave (fifteen distances each)."""
    short = [2, 3, 4, 5, 6, 7]
    return [neuron("a", short + [140] * 9) + neuron("b", short + [100] * 9)]


def test_least_squares_does_not_promise_a_concave_spectrum():
    radii, masses = oracle.paper_masses(counterexample())
    assert radii == [2, 3, 4, 5, 6, 7, 100, 140]
    assert masses == {"a": [2, 3, 4, 5, 6, 7, 7, 16], "b": [2, 3, 4, 5, 6, 7, 16, 16]}
    assert max(oracle.spectrum(radii, masses)["f"]) == pytest.approx(0.055, abs=5e-4)


def test_the_two_exact_identities():
    radii, masses = oracle.paper_masses(counterexample())
    result = oracle.spectrum(radii, masses)
    zero = result["q"].index(0.0)
    assert abs(result["tau"][zero]) < 1e-15 and abs(result["f"][zero]) < 1e-15
    assert result["alpha0"] == result["alpha"][zero]
    dimensions = oracle.dimensions_common(radii, masses)
    assert oracle.mean(list(dimensions.values())) == pytest.approx(result["alpha0"], rel=1e-13)


def test_the_exact_derivative_is_the_limit_of_the_differences():
    radii, masses = oracle.paper_masses(counterexample())
    for q in (-2.0, 0.0, 0.7, 3.0):
        low, high = oracle.mass_exponents(radii, masses, [q - 1e-5, q + 1e-5])
        assert oracle.exact_alpha(radii, masses, q) == pytest.approx((high - low) / 2e-5, abs=1e-9)


# dimensions


def test_dimensions_on_the_two_grids():
    # radii 1, 2, 4 and the power law N = r^1 on the neuron's own grid
    own = oracle.dimensions_own([neuron("a", [2, 4, 4])], more_than=2)
    assert own == {"a": pytest.approx(1.0)}  # N(2) = 2, N(4) = 4
    common = oracle.dimensions_common([1, 2, 4], {"a": [1, 2, 4], "b": [1, 4, 16]})
    assert common == {"a": pytest.approx(1.0), "b": pytest.approx(2.0)}


def test_a_distance_that_rounds_to_zero_is_mass_but_no_radius():
    own = oracle.dimensions_own([neuron("a", [0.25, 2, 4, 4, 4])], more_than=4)
    assert own == {"a": pytest.approx(1.0)}  # N(2) = 3, N(4) = 6
    assert oracle.dimensions_own([neuron("a", [2, 4, 4])]) == {}  # too few connections
    assert oracle.dimensions_own([neuron("a", [2] * 20 + [300])]) == {}  # one radius inside 0 < d <= 200


# a distribution whose exponent is known


def pareto_neuron(name, exponent, fan_out, longest, draw):
    """|w| = (1/longest) u^(-1/m), so that P(d <= r) = (r / longest)^m for r <= longest."""
    return [(name, (name, k), draw.random() ** (-1 / exponent) / longest) for k in range(fan_out)]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_pareto_weights_have_alpha0_equal_to_their_tail_exponent(exponent):
    neurons, fan_out = 20, 2000
    draw = random.Random(17)
    edges = []
    for name in range(neurons):
        edges += pareto_neuron(name, exponent, fan_out, 150.0, draw)
    radii, masses = oracle.scale_free_masses([edges])
    alpha0 = oracle.spectrum(radii, masses, q=[0])["alpha0"]
    assert alpha0 == pytest.approx(exponent, abs=exponent * pareto_tolerance(neurons, fan_out))


def pareto_tolerance(neurons, fan_out, count=20):
    """Bound on |alpha_0 - m| / m for fan-out networks of Pareto weights, from the sizes alone.

    A neuron's mass at the radius that holds a share p of the connections is binomial: with c = p x fan_out,
    ln N has a bias below 1/c and a standard deviation sqrt((1 - p)/c), divided by sqrt(neurons) in their
    mean. The slope is a weighted sum of ln N over the radii; the bound adds |weight| x (bias + 4 deviations),
    as if all the radii erred together in the worst direction.
    """
    length = math.log(0.9 / 0.02)  # of the abscissa m ln r; shares are spaced evenly in their logarithm
    x = [length * (k / (count - 1) - 0.5) for k in range(count)]
    spread = sum(value**2 for value in x)
    bound = 0.0
    for value in x:
        share = 0.9 * math.exp(value - length / 2)
        held = share * fan_out
        bound += abs(value) / spread * (1 / held + 4 * math.sqrt((1 - share) / (held * neurons)))
    return bound


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_the_papers_window_bends_even_a_power_law(exponent):
    """Rounding and the cut at d = 1 move the slope by a known amount, and the rest agrees with it."""
    fan_out = 200_000
    weights = [((k + 0.5) / fan_out) ** (-1 / exponent) / 150.0 for k in range(fan_out)]  # no sampling noise
    radii, masses = oracle.paper_masses([[("a", k, w) for k, w in enumerate(weights)]])
    alpha0 = oracle.spectrum(radii, masses, q=[0])["alpha0"]
    share = [(min(r + 0.5, 150.0) / 150) ** exponent - (1 / 150) ** exponent for r in radii]
    limit = oracle.slope([math.log(r) for r in radii], [math.log(fan_out * s + 1) for s in share])
    counted = min(fan_out * s for s in share)
    assert alpha0 == pytest.approx(limit, abs=exponent / counted)  # a mass is a whole number: +-1
    assert abs(alpha0 - exponent) < 0.1  # the bias of rounding and cutting itself


# emergence


def test_emergence_is_zero_at_the_start():
    assert oracle.emergence([1.6, 1.7], [0.3, 0.5], [1.6, 1.7], [0.3, 0.5]) == 0.0


def test_emergence_of_means_by_hand():
    e = oracle.emergence([1.0, 1.0], [0.5, 0.7], [math.e - 0.1, math.e + 0.1], [0.2, 0.4])
    assert e == pytest.approx(2.0)  # (.6 / .3) ln(e / 1)
    rising = oracle.emergence([1.3], [0.4], [0.68], [0.4])
    assert rising == pytest.approx(math.log(0.68 / 1.3)) and rising < 0


def test_a_published_pair_of_values():
    """Pythia-6.9b, read off the authors' figures: alpha_0 1.689 -> 1.453, width .365 -> .773, E = .32."""
    assert oracle.emergence([1.453], [0.773], [1.689], [0.365]) == pytest.approx(0.32, abs=0.005)
