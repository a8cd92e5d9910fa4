"""Controls change what they say, keep what they say, and leave the network they are given alone."""

import numpy as np
import pytest
from twins import chain, gaussian

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation.controls import emergence_from, gaussian_like, permuted_outgoing, rescaled, scaled
from neuromfa_lite.laboratory.recipes import find_recipe
from neuromfa_lite.laboratory.tasks import measure_abilities
from neuromfa_lite.network.network import NeuronNetwork

ANY_FAN_OUT = nmfa.PAPER.replace(minimum_connections=1)


@pytest.fixture
def network():
    return chain(gaussian(20, 15, seed=1), gaussian(30, 20, seed=2, deviation=0.1))


@pytest.fixture(scope="module")
def run():
    return nmfa.load_run("induction")


def graph():
    sources = [0, 0, 0, 0, 1, 1, 2, 0]
    return NeuronNetwork.from_edges(sources, [1, 2, 3, 4, 2, 3, 4, 5], [0.1, 0.2, 0.3, 0.4, 5.0, 6.0, 7.0, 0.5])


@pytest.mark.small
@pytest.mark.parametrize("change", [gaussian_like, permuted_outgoing, lambda n: scaled(n, 3), lambda n: rescaled(n, n)])
def test_the_network_given_stays_as_it_was(network, change):
    before = [block.weights().copy() for block in network.weight_blocks]
    changed = change(network)
    assert all(np.array_equal(a, b.weights()) for a, b in zip(before, network.weight_blocks, strict=True))
    assert changed.layers == network.layers and changed.origin != network.origin
    assert [block.shape for block in changed.blocks] == [block.shape for block in network.blocks]


@pytest.mark.small
def test_scaled_multiplies_every_weight(network):
    for old, new in zip(network.weight_blocks, scaled(network, -2.5).weight_blocks, strict=True):
        np.testing.assert_array_equal(new.weights(), -2.5 * old.weights().astype(float))


@pytest.mark.small
@pytest.mark.parametrize("factor", [0, np.nan, np.inf])
def test_scaled_refuses_a_factor_that_leaves_no_weights(network, factor):
    with pytest.raises(NeuroMFAError, match="factor="):
        scaled(network, factor)


@pytest.mark.small
def test_rescaled_has_the_deviations_of_one_network_and_the_pattern_of_the_other(network):
    like = chain(gaussian(20, 15, seed=3, deviation=0.4), gaussian(30, 20, seed=4, deviation=0.01))
    for old, other, new in zip(*(n.weight_blocks for n in (network, like, rescaled(network, like))), strict=True):
        assert new.weights().std() == pytest.approx(other.weights().std(dtype=float), rel=1e-12)
        ratio = new.weights() / old.weights()
        assert np.ptp(ratio) < 1e-12 * ratio.mean()


@pytest.mark.small
def test_rescaled_names_a_matrix_it_cannot_rescale(network):
    with pytest.raises(NeuroMFAError, match="no matrix 'matrix 1'"):
        rescaled(network, chain(gaussian(20, 15)))
    flat = chain(np.ones((20, 15)), gaussian(30, 20))
    with pytest.raises(NeuroMFAError, match=r"'matrix 0'.*all alike"):
        rescaled(flat, network)


@pytest.mark.small
def test_gaussian_like_keeps_mean_deviation_and_zeros():
    weights = 0.5 + gaussian(300, 200, deviation=0.1)
    weights[::2] = 0
    drawn = gaussian_like(chain(weights), seed=7).weight_blocks[0].weights()
    assert np.array_equal(drawn == 0, weights == 0)
    there = drawn[drawn != 0]
    assert there.mean() == pytest.approx(0.5, abs=0.003) and there.std() == pytest.approx(0.1, rel=0.02)
    again, other = (gaussian_like(chain(weights), seed=s).weight_blocks[0].weights() for s in (7, 8))
    assert np.array_equal(drawn, again) and not np.array_equal(drawn, other)


@pytest.mark.small
def test_permuted_keeps_each_neurons_outgoing_weights_and_moves_them(network):
    for old, new in zip(network.weight_blocks, permuted_outgoing(network, seed=1).weight_blocks, strict=True):
        np.testing.assert_array_equal(np.sort(new.weights(), axis=0), np.sort(old.weights(), axis=0))
        assert new.weights().dtype == old.weights().dtype
        assert (new.weights() != old.weights()).any(axis=0).all()


@pytest.mark.small
def test_permuted_keeps_each_neurons_outgoing_weights_in_a_list_of_edges():
    old, new = graph().weight_blocks[0], permuted_outgoing(graph(), seed=1).weight_blocks[0]
    for neuron in range(3):
        own = old.sources == neuron
        assert sorted(new.listed[own]) == sorted(old.listed[own])
    assert not np.array_equal(new.listed, old.listed)


@pytest.mark.small
@pytest.mark.parametrize("method", [ANY_FAN_OUT, nmfa.SCALE_FREE], ids=lambda method: method.name)
def test_one_hop_does_not_see_a_permutation(network, method):
    shuffled = permuted_outgoing(network, seed=3)
    assert emergence_from(network, [shuffled], method, neurons_per_layer=None)[0] == 0


@pytest.mark.small
def test_only_the_scale_free_method_ignores_a_common_factor(network):
    doubled = scaled(network, 2)
    assert emergence_from(network, [doubled], nmfa.SCALE_FREE, neurons_per_layer=None)[0] == 0
    assert abs(emergence_from(network, [doubled], ANY_FAN_OUT, neurons_per_layer=None)[0]) > 0.01


def test_emergence_from_equals_follow(run):
    wanted = nmfa.follow(run, samples=2, steps=[0, 128, 724]).summary()
    networks = [nmfa.load_network(run.checkpoint(int(step))) for step in wanted.step]
    np.testing.assert_allclose(emergence_from(networks[0], networks, samples=2), wanted.emergence, rtol=0, atol=1e-12)


@pytest.mark.torch
def test_permuting_outgoing_weights_destroys_the_ability_and_leaves_emergence(run):
    """What notebook 04 says of the real model: the same E of all neurons, and it copies no better than chance."""
    from transformers import GPTNeoXForCausalLM

    model = GPTNeoXForCausalLM.from_pretrained(run.checkpoint(724).folder).float().eval()
    recipe, generator = find_recipe("induction"), np.random.default_rng(0)
    start, trained = (nmfa.load_network(each) for each in (run.checkpoint(0), model))
    before = emergence_from(start, [trained], neurons_per_layer=None)[0]
    assert measure_abilities(model, recipe)["copy_accuracy"] > 0.95
    for name, tensor in model.named_parameters():
        if tensor.ndim == 2 and ".layers." in name:
            # A block's query, key and value rows stay within their own part.
            parts = 3 if "query_key_value" in name else 1
            rows = tensor.detach().numpy().reshape(-1, parts, *_head(model, tensor, parts))
            for part in range(parts):
                columns = rows[:, part].reshape(-1, tensor.shape[1])
                rows[:, part] = generator.permuted(columns, axis=0).reshape(rows[:, part].shape)
    shuffled = nmfa.load_network(model)
    assert measure_abilities(model, recipe)["copy_accuracy"] < 0.05
    assert emergence_from(start, [shuffled], neurons_per_layer=None)[0] == before


def _head(model, tensor, parts):
    size = model.config.hidden_size // model.config.num_attention_heads if parts == 3 else tensor.shape[0]
    return size, tensor.shape[1]
