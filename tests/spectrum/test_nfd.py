"""The dimensions of neurons as a result: grouped, drawn, kept in a file, and drawn on the network."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from twins import chain, from_distances, gaussian

import neuromfa_lite as nmfa
from neuromfa_lite import NeuroMFAError, analyze, load_network, load_run, neuron_fractal_dimension
from neuromfa_lite.plots.curves import plot_dimensions
from neuromfa_lite.plots.networks import plot_network
from neuromfa_lite.spectrum import NeuronDimensions


@pytest.fixture(scope="module")
def network():
    return load_network(load_run("induction").checkpoint(724)).sample(32, seed=0)


@pytest.fixture(scope="module")
def dimensions(network):
    return neuron_fractal_dimension(network)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("by", ["layer", "role"])
def test_groups_are_those_of_the_spectrum(dimensions, network, by):
    """Two routes: the mean dimension of a group, and alpha0 of the spectrum of its neurons alone."""
    table = dimensions.summary(by)
    parts = analyze(network).by(by)
    assert table[by].tolist() == list(parts)
    assert table["neurons"].sum() == len(dimensions) == 320
    assert table["mean"].tolist() == pytest.approx([part.alpha0 for part in parts.values()], abs=1e-12)
    frame = dimensions.frame()
    first = frame[frame[by] == table[by][0]]
    assert table["worst_r2"][0] == first["r2"].min() and table["sd"][0] == pytest.approx(first["dimension"].std(ddof=1))


@pytest.mark.parametrize("by", ["layer", "role"])
def test_the_picture_has_a_row_per_group_and_every_neuron_in_it(dimensions, by):
    table, ax = dimensions.summary(by), plt.figure().subplots()
    assert dimensions.plot(ax=ax, by=by) is ax
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [f"{name} ({neurons})" for name, neurons in zip(table[by], table["neurons"], strict=True)]
    dots = [line.get_xdata() for line in ax.lines if line.get_marker() == "."]
    assert sorted(np.concatenate(dots)) == sorted(dimensions.dimension)
    heights = [line.get_ydata() for line in ax.lines if line.get_marker() == "."]
    assert all(np.abs(each - row).max() < 0.5 for row, each in enumerate(heights))  # rows do not run together
    diamonds = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert diamonds == pytest.approx(table["mean"].tolist(), abs=1e-12)


def test_the_picture_marks_alpha0_on_the_common_grid_and_denies_it_on_the_own(dimensions, network):
    alpha0 = analyze(network).alpha0
    ax = plot_dimensions(dimensions)
    (dashed,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed.get_xdata()[0] == pytest.approx(alpha0, abs=1e-12)
    assert "= $\\alpha_0$" in ax.get_title() and f"{alpha0:.3f}" in ax.get_title()
    own = neuron_fractal_dimension(network, grid="own")
    assert "not $\\alpha_0$" in own.plot().get_title() and f"{own.dimension.mean():.3f}" in own.plot().get_title()


def test_the_mean_is_alpha0_however_the_network_is_joined():
    method = nmfa.PAPER.replace(wiring="both-directions")
    network = load_network(load_run("induction").checkpoint(724), wiring=method.wiring).sample(32, seed=0)
    found = neuron_fractal_dimension(network, method)
    spectrum = analyze(network, method)
    assert found.dimension.mean() == pytest.approx(spectrum.alpha0, abs=1e-12)
    assert found.source_hash == spectrum.source_hash and len(found) == spectrum.neurons_used


def test_dimensions_survive_a_file(dimensions, tmp_path):
    again = NeuronDimensions.load(dimensions.save(tmp_path / "nfd"))
    assert again.frame().equals(dimensions.frame()) and repr(again) == repr(dimensions)
    assert (again.source_hash, again.seed, again.grid) == (dimensions.source_hash, 0, "common")
    with pytest.raises(ValueError):
        again.dimension[0] = 1
    assert "block 0 input" in again._repr_html_()


def test_another_grouping_is_refused(dimensions):
    for call in (dimensions.summary, lambda by: dimensions.plot(by=by)):
        with pytest.raises(NeuroMFAError, match="'neuron'"):
            call("neuron")


@pytest.mark.small
def test_neurons_without_a_line_of_their_own_are_named_not_returned_as_an_empty_table():
    with pytest.raises(NeuroMFAError, match="no neuron has two radii of its own"):
        neuron_fractal_dimension(from_distances([[5] * 12, [7] * 12]), grid="own")


def coloured_nodes(ax):
    return [each for each in ax.collections if isinstance(each, PathCollection) and each.get_array() is not None]


def test_a_drawn_network_is_coloured_by_the_dimensions_of_the_whole():
    whole = load_network(load_run("induction").checkpoint(724))
    dimensions, part = neuron_fractal_dimension(whole), whole.sample(4, seed=0)
    ax = plot_network(part, strongest=20, dimensions=dimensions)
    (nodes,) = coloured_nodes(ax)
    frame = dimensions.frame().set_index(["layer", "neuron"])["dimension"]
    here = [(layer.name, int(number)) for layer in part.layers for number in layer.numbers]
    expected = [frame[node] for node in here if node in frame.index]
    assert nodes.get_array().tolist() == expected
    assert nodes.get_clim() == (dimensions.dimension.min(), dimensions.dimension.max())
    assert len(expected) < len(here)  # query, key and value neurons have none
    assert not coloured_nodes(plot_network(part, strongest=20))


def test_dimensions_of_another_network_are_refused():
    dimensions = nmfa.neuron_fractal_dimension(chain(gaussian(40, 6)))
    part = load_network(load_run("induction").checkpoint(724)).sample(4, seed=0)
    with pytest.raises(NeuroMFAError, match="none of these neurons"):
        plot_network(part, dimensions=dimensions)
