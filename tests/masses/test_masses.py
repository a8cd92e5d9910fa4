"""One-hop masses: the same numbers as the plain loops, and an error that names the matrix for weights that are none."""

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_equal
from twins import chain, counterexample, edge_lists, from_distances, gaussian

from neuromfa_lite import PAPER, SCALE_FREE, NeuroMFAError, NeuronNetwork
from neuromfa_lite.masses import one_hop
from neuromfa_lite.masses.count import count_masses
from neuromfa_lite.network import connections
from neuromfa_lite.spectrum import neuron_fractal_dimension

ORACLE = {"paper": oracle.paper_masses, "scale-free": oracle.scale_free_masses}


def named(masses):
    """{(layer, position): [N(r), ...]} as the oracle has it, of a network that is not sampled."""
    keys = zip(masses.layer.tolist(), masses.number.tolist(), strict=True)
    return dict(zip(keys, masses.counts.tolist(), strict=True))


def same_as_oracle(network, method):
    masses = count_masses(network, method)
    radii, expected = ORACLE[method.name](edge_lists(network))
    np.testing.assert_allclose(masses.radii, radii, rtol=1e-14)
    assert named(masses) == expected


# the same as the plain loops


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dense_matrices(method, dtype):
    same_as_oracle(chain(gaussian(31, 13, dtype=dtype), gaussian(17, 31, dtype=dtype, seed=1)), method)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
def test_a_list_of_edges(method):
    draw = np.random.default_rng(5)
    sources, targets = draw.integers(0, 9, 250), draw.integers(0, 30, 250)
    weights = draw.standard_normal(250) * 0.05
    weights[::11] = 0
    same_as_oracle(NeuronNetwork.from_edges(sources, targets, weights), method)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
def test_zero_weights_are_no_connections(method):
    weights = gaussian(40, 9)
    weights[np.random.default_rng(2).random(weights.shape) < 0.6] = 0
    weights[:, 4] = 0  # a neuron without any connection
    same_as_oracle(chain(weights), method)


def test_a_matrix_of_more_weights_than_a_stripe_holds(monkeypatch):
    network = chain(gaussian(8300, 3))
    monkeypatch.setattr(connections, "WEIGHTS_AT_ONCE", 1000)
    same_as_oracle(network, PAPER)
    same_as_oracle(network, SCALE_FREE)


RULES = {
    "quantiles": SCALE_FREE,
    "numbers": SCALE_FREE.replace(radii=[0.5, 1.0, 2.0]),
    "every whole number": PAPER.replace(window=(1, 10_000)),
    "every": SCALE_FREE.replace(radii="every"),
    "no rounding": PAPER.replace(rounding=False, radii="log-spaced"),
    "minus log": SCALE_FREE.replace(distance="minus-log"),
    "own distance": SCALE_FREE.replace(distance=lambda weights: 1 / np.abs(weights / np.abs(weights).max())),
    "own radii": SCALE_FREE.replace(radii=lambda distances: np.quantile(distances, [0.1, 0.5, 0.9])),
}


@pytest.mark.small
@pytest.mark.parametrize("rule", RULES)
def test_stripes_that_are_not_held_give_the_same_masses(rule, monkeypatch):
    network = chain(gaussian(31, 13), gaussian(17, 31, seed=1), dead := np.zeros((2, 17), np.float32))
    dead[1] = 0.1
    whole = count_masses(network, RULES[rule])
    monkeypatch.setattr(one_hop, "fits", lambda needed: False)
    monkeypatch.setattr(connections, "WEIGHTS_AT_ONCE", 60)
    striped = count_masses(network, RULES[rule])
    assert_equal(striped.radii, whole.radii)
    assert_equal(striped.counts, whole.counts)
    assert_equal(striped.inside, whole.inside)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
@pytest.mark.parametrize("bad, words", [(np.nan, "holds 1 weights that are NaN"), (0, "holds only zeros")])
def test_bad_weights_in_a_stripe_are_refused_for_the_whole_matrix(method, bad, words, monkeypatch):
    weights = gaussian(31, 13) if bad else np.zeros((31, 13), np.float32)
    weights[20, 3] = bad
    monkeypatch.setattr(connections, "WEIGHTS_AT_ONCE", 60)
    with pytest.raises(NeuroMFAError, match=words):
        count_masses(chain(weights), method)


@pytest.mark.small
def test_a_dense_matrix_and_its_list_of_edges_give_the_same():
    weights = gaussian(30, 7)
    targets, sources = np.nonzero(weights)
    listed = count_masses(NeuronNetwork.from_edges(sources, targets, weights[targets, sources]))
    dense = count_masses(chain(weights))
    np.testing.assert_array_equal(listed.radii, dense.radii)
    np.testing.assert_array_equal(listed.counts, dense.counts)


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_two_ways_to_count_rounded_reciprocals_agree(dtype):
    """The fast way bins weights; the general one computes distances. A callable takes the general one."""
    network = chain(gaussian(50, 8, dtype=dtype))
    fast = count_masses(network)
    general = count_masses(network, PAPER.replace(distance=lambda weights: 1 / np.abs(weights)))
    np.testing.assert_array_equal(fast.radii, general.radii)
    np.testing.assert_array_equal(fast.counts, general.counts)


@pytest.mark.small
def test_a_window_far_wider_than_the_papers_needs_no_more_memory():
    """Distances up to a billion: the table of masses must follow the radii that occur, not the window."""
    network = from_distances([[3, 5, 5, 40, 3_000_000], [4, 5, 40, 77, 900_000_000]])
    masses = count_masses(network, PAPER.replace(window=(0.0, 1e9), minimum_connections=1))
    assert masses.radii.tolist() == [3, 4, 5, 40, 77, 3_000_000, 900_000_000]
    assert masses.counts.tolist() == [[2, 2, 4, 5, 5, 6, 6], [1, 2, 3, 4, 5, 5, 6]]


@pytest.mark.small
@pytest.mark.parametrize("radii", ["integer", "every"])  # a histogram, and the distances themselves
@pytest.mark.parametrize("kind", ["edges", "float32", "float64"])
@pytest.mark.parametrize("low, high", [(2.0, 8.0), (0.5, 128.0)])
def test_the_window_is_open_below_and_closed_above(kind, radii, low, high):
    """Powers of two, whose reciprocals are exact: a distance of low is outside, one of high is inside."""
    distances = np.array([low / 2, low, 2 * low, 4 * low, high, 2 * high])
    if kind == "edges":
        network = NeuronNetwork.from_edges([0] * 6, range(1, 7), 1 / distances)
    else:
        network = chain((1 / distances[:, None]).astype(kind))
    method = PAPER.replace(window=(low, high), minimum_connections=1, radii=radii)
    assert count_masses(network, method).inside.max() == sum(1 for d in distances if low < d <= high)


@pytest.mark.small
def test_radii_by_hand_count_what_lies_within_them():
    network = from_distances([[2, 3, 3.4, 10, 149.9] + [151] * 8])
    method = PAPER.replace(radii=(1.5, 3.0, 3.9, 100.0, 150.0, 900.0), minimum_connections=5)
    assert count_masses(network, method).counts.tolist() == [[1, 4, 4, 5, 6, 6]]
    for distance in ("inverse", lambda weights: 1 / np.abs(weights)):
        unrounded = method.replace(rounding=False, distance=distance)
        assert count_masses(network, unrounded).counts.tolist() == [[1, 3, 4, 5, 6, 6]]


@pytest.mark.small
def test_more_than_ten_connections_are_asked_for():
    masses = count_masses(from_distances([range(2, 12), range(2, 13)]))
    assert masses.number.tolist() == [1]
    assert masses.inside.tolist() == [11] and masses.places_total == 21


# what must not matter


@pytest.mark.small
@given(seed=st.integers(0, 999), targets=st.integers(12, 40), sources=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_order_and_sign_of_a_neurons_weights_do_not_matter(seed, targets, sources):
    weights = gaussian(targets, sources, deviation=0.2, seed=seed)
    draw = np.random.default_rng(seed + 1)
    moved = draw.permuted(weights, axis=0) * draw.choice(np.float32([-1, 1]), weights.shape)
    for method in (PAPER.replace(minimum_connections=1), SCALE_FREE):
        before, after = count_masses(chain(weights), method), count_masses(chain(moved), method)
        np.testing.assert_array_equal(before.radii, after.radii)
        np.testing.assert_array_equal(before.counts, after.counts)


@pytest.mark.small
@given(seed=st.integers(0, 999), deviation=st.floats(0.005, 2.0))
@settings(deadline=None, max_examples=25)
def test_masses_grow_with_the_radius_and_end_at_the_connections_inside(seed, deviation):
    network = chain(gaussian(30, 4, deviation=deviation, seed=seed))
    for method in (PAPER.replace(minimum_connections=1, window=(0.0, 300.0)), SCALE_FREE):
        masses = count_masses(network, method)
        assert (np.diff(masses.radii) > 0).all()
        assert (np.diff(masses.counts.astype(int), axis=1) >= 0).all() and (masses.counts >= 1).all()
        assert (masses.counts[:, -1] - 1 <= masses.inside).all()
        if method.radii == "integer":
            assert (masses.counts[:, -1] - 1 == masses.inside).all()


@pytest.mark.small
@given(seed=st.integers(0, 999), power=st.integers(-20, 20))
@settings(deadline=None, max_examples=25)
def test_a_common_factor_leaves_scale_free_masses_exactly_alone(seed, power):
    """A power of two, so that the factor itself costs no rounding."""
    first, second = gaussian(20, 6, seed=seed), gaussian(9, 20, seed=seed + 1)
    before = count_masses(chain(first, second), SCALE_FREE)
    after = count_masses(chain(first * np.float32(2.0**power), second * np.float32(2.0**power)), SCALE_FREE)
    np.testing.assert_array_equal(before.radii, after.radii)
    np.testing.assert_array_equal(before.counts, after.counts)


@pytest.mark.small
def test_weights_in_read_only_memory_are_read_and_left_alone():
    weights = gaussian(30, 5)
    before = weights.copy()
    weights.setflags(write=False)
    count_masses(chain(weights))
    count_masses(chain(weights), SCALE_FREE)
    np.testing.assert_array_equal(weights, before)


@pytest.mark.small
def test_results_are_read_only():
    masses = count_masses(counterexample())
    with pytest.raises(ValueError):
        masses.counts[0, 0] = 7


@pytest.mark.small
def test_labels():
    masses = count_masses(chain(gaussian(30, 2), gaussian(20, 30)))
    assert set(masses.labels("layer")) <= {"layer 0", "layer 1"}
    with pytest.raises(NeuroMFAError, match="colour"):
        masses.labels("colour")


# the dimension of a neuron


@pytest.mark.small
def test_dimensions_agree_with_the_oracle_on_both_grids():
    network = chain(gaussian(40, 6), gaussian(30, 40, seed=1, deviation=0.02))
    radii, masses = oracle.paper_masses(edge_lists(network))
    expected = {"common": oracle.dimensions_common(radii, masses), "own": oracle.dimensions_own(edge_lists(network))}
    for grid in ("common", "own"):
        table = neuron_fractal_dimension(network, grid=grid)
        layers = table["layer"].str.removeprefix("layer ").astype(int)
        found = dict(zip(zip(layers, table["neuron"], strict=True), table["dimension"], strict=True))
        assert found == pytest.approx(expected[grid], abs=1e-12)


@pytest.mark.small
def test_a_distance_that_rounds_to_zero_is_no_radius_of_its_neuron():
    """Neuron 0 has mass inside radius 1/2 and none at 2 and 3, which only neuron 1 has."""
    distances = [[0.25] * 3 + [4] * 5 + [9] * 8, [2] * 5 + [3] * 9]
    network = from_distances(distances)
    table = neuron_fractal_dimension(network, grid="own")
    expected = oracle.dimensions_own(edge_lists(network))
    assert table["dimension"].tolist() == pytest.approx(list(expected.values()), abs=1e-12)
    assert table["radii"].tolist() == [2, 2]


@pytest.mark.small
def test_the_own_grid_is_the_authors_whatever_radii_the_method_names():
    network = chain(gaussian(40, 6))
    table = neuron_fractal_dimension(network, PAPER.replace(radii=(2.0, 50.0, 100.0)), grid="own")
    expected = oracle.dimensions_own(edge_lists(network))
    assert table["dimension"].tolist() == pytest.approx(list(expected.values()), abs=1e-12)


@pytest.mark.small
def test_an_unknown_grid_is_named():
    with pytest.raises(NeuroMFAError, match="'square'"):
        neuron_fractal_dimension(counterexample(), grid="square")


# weights that are none


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_names_its_matrix(method, dtype, bad):
    weights = gaussian(20, 30, dtype=dtype, seed=1)
    weights[7, 3] = bad
    with pytest.raises(NeuroMFAError, match="'second' holds 1 weights that are NaN or infinite"):
        count_masses(chain(gaussian(30, 4, dtype=dtype), weights, names=["first", "second"]), method)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
def test_a_listed_weight_that_is_no_number_names_its_list(method):
    network = NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, np.nan], name="my edges")
    with pytest.raises(NeuroMFAError, match="'my edges'"):
        count_masses(network, method)


@pytest.mark.small
@pytest.mark.parametrize("method", [PAPER, SCALE_FREE], ids=lambda method: method.name)
def test_a_matrix_of_zeros_is_named_with_the_way_out(method):
    network = chain(gaussian(30, 4), np.zeros((5, 30), np.float32), names=["first", "empty"])
    with pytest.raises(NeuroMFAError, match=r"'empty' holds only zeros.*without\(name\)"):
        count_masses(network, method)
    assert len(count_masses(network.without("empty"), method).counts) == 4


@pytest.mark.small
def test_no_usable_neuron_says_why():
    with pytest.raises(NeuroMFAError, match=r"no usable neuron.*11 of them"):
        count_masses(chain(gaussian(10, 4)))
    with pytest.raises(NeuroMFAError, match=r"no usable neuron.*0 lie in the window"):
        count_masses(chain(gaussian(50, 4, deviation=1e-6)))


@pytest.mark.small
@pytest.mark.parametrize(
    "distance, words",
    [
        (lambda weights: weights[:1], "shape"),
        (lambda weights: -np.abs(weights), "negative or NaN"),
        (lambda weights: np.full(weights.shape, np.nan), "negative or NaN"),
    ],
)
def test_a_distance_function_that_gives_no_distances_is_refused(distance, words):
    with pytest.raises(NeuroMFAError, match=words):
        count_masses(chain(gaussian(30, 4)), SCALE_FREE.replace(distance=distance, name="mine"))


@pytest.mark.small
@pytest.mark.parametrize("radii", [lambda d: np.array([3.0, 2.0]), lambda d: np.array([np.nan]), lambda d: np.eye(2)])
def test_radii_that_do_not_increase_are_refused(radii):
    with pytest.raises(NeuroMFAError, match="radii"):
        count_masses(chain(gaussian(30, 4)), PAPER.replace(radii=radii))
