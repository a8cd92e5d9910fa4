"""Controls of a checkpoint: the same weights as those of its network, and nothing else changed."""

import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.evaluation import changes, controls
from neuromfa_lite.evaluation.controls import (
    ChangedCheckpoint,
    abilities_of,
    emergence_from,
    gaussian_like,
    permuted_outgoing,
    random_signs,
    rescaled,
    rescaled_start,
    scaled,
    shuffled,
)
from neuromfa_lite.evaluation.controls.models import logits
from neuromfa_lite.evaluation.controls.weights import apply
from neuromfa_lite.network.architectures import ARCHITECTURES, Architecture, Join, fused_rows
from neuromfa_lite.network.connections import NeuronLayer
from neuromfa_lite.weights import open_source

CHANGES = {
    "scaled": lambda what: scaled(what, -1.5),
    "shuffled": lambda what: shuffled(what, seed=4),
    "permuted": lambda what: permuted_outgoing(what, seed=4),
    "signs": lambda what: random_signs(what, seed=4),
    "gaussian": lambda what: gaussian_like(what, seed=4),
    "rescaled": lambda what: rescaled(what, permuted_outgoing(scaled(what, 3), seed=1)),
}
MATRICES = 12


@pytest.fixture(scope="module")
def run():
    return nmfa.load_run("induction")


@pytest.fixture(scope="module")
def trained(run):
    return run.checkpoint(724)


def toy():
    """A family that stores its fused matrix the other way round, as GPT-2 does, and one matrix as usual."""
    layers = [NeuronLayer("in", 6), NeuronLayer("query", 4), NeuronLayer("key", 4), NeuronLayer("out", 3)]
    joins = [
        Join("in", "query", "qk.weight", part="query", targets=fused_rows(2, 2, 0)[:4], transposed=True),
        Join("in", "key", "qk.weight", part="key", targets=fused_rows(2, 2, 1)[:4], transposed=True),
        Join("key", "out", "fc.weight"),
    ]
    return Architecture("toy-family", layers=layers, joins=joins, embedding=("wte.weight",))


@pytest.fixture
def transposed(monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "toy-family", toy())
    draw = np.random.default_rng(1)
    tensors = {
        "wte.weight": draw.standard_normal((5, 6)),
        "qk.weight": draw.standard_normal((6, 10)),  # the rows 4, 5 of the fused one are of no part, as values here
        "qk.bias": draw.standard_normal(10),
        "fc.weight": draw.standard_normal((3, 4)),
    }
    return tensors, open_source(tensors, config={"model_type": "toy-family"})


def same_blocks(one, other):
    for a, b in zip(one.weight_blocks, other.weight_blocks, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.weights(), b.weights())


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_and_its_network_are_changed_alike(trained, name):
    network = nmfa.load_network(trained)
    changed = CHANGES[name](trained)
    assert isinstance(changed, ChangedCheckpoint)
    same_blocks(nmfa.load_network(changed), CHANGES[name](network))
    assert len(nmfa.load_network(changed).weight_blocks) == MATRICES
    moved = [
        not np.array_equal(a.weights(), b.weights())
        for a, b in zip(network.weight_blocks, nmfa.load_network(changed).weight_blocks, strict=True)
    ]
    assert all(moved)


@pytest.mark.parametrize("name", CHANGES)
def test_a_transposed_fused_matrix_is_written_back_to_its_places(transposed, name):
    tensors, source = transposed
    before = {key: array.copy() for key, array in tensors.items()}
    changed = CHANGES[name](source)
    same_blocks(nmfa.load_network(changed), CHANGES[name](nmfa.load_network(source)))
    found = changed.tensors()
    spare = [4, 5]
    np.testing.assert_array_equal(found["qk.weight"][:, spare], tensors["qk.weight"][:, spare])
    assert (found["qk.weight"] != tensors["qk.weight"])[:, [0, 1, 2, 3, 6, 7, 8, 9]].any(axis=0).all()
    for key in ("wte.weight", "qk.bias"):
        np.testing.assert_array_equal(found[key], tensors[key])
    for key, array in tensors.items():
        np.testing.assert_array_equal(array, before[key])


def test_a_network_and_its_changed_checkpoint_have_the_same_spectrum(trained):
    changed = permuted_outgoing(trained, seed=2)
    of_checkpoint, of_network = (
        nmfa.analyze(each.sample(32, seed=0))
        for each in (nmfa.load_network(changed), permuted_outgoing(nmfa.load_network(trained), seed=2))
    )
    assert of_checkpoint.alpha0 == of_network.alpha0 and of_checkpoint.width == of_network.width


def test_a_changed_checkpoint_keeps_labels_configuration_and_everything_else(run):
    checkpoint = run.checkpoint(128, seed=2)
    changed = gaussian_like(checkpoint)
    stored = open_source(checkpoint)
    for label in ("run", "seed", "step", "abilities"):
        assert getattr(changed, label) == getattr(checkpoint, label)
    assert changed.change == "Gaussian twin" and str(changed) == "induction@128:2 (Gaussian twin)"
    assert open_source(changed) is changed and changed.config == stored.config and changed.names == stored.names
    for name, array in changed.tensors().items():
        kind = stored.matrices if name in stored.matrices else stored.vectors
        inside = ".layers." in name and name in stored.matrices
        assert array.dtype == (np.float64 if inside else np.float32)
        assert np.array_equal(array, kind[name].read()) != inside
    twice = scaled(changed, 2)
    assert twice.change == "Gaussian twin, then scaled by 2" and twice.step == 128
    changed.tensors()["lm_head.weight"][:] = 0
    assert changed.tensors()["lm_head.weight"].any()


def test_what_is_no_checkpoint_of_a_run_is_changed_too_and_has_no_labels():
    changed = scaled(open_source(gpt_neox_tensors(), config=CONFIG), 2)
    assert (changed.run, changed.seed, changed.step, changed.abilities) == (None, None, None, {})
    mask = "gpt_neox.layers.0.attention.bias"
    assert changed.other[mask] == (1, 1, 4, 4) and mask not in changed.tensors()
    with pytest.raises(NeuroMFAError, match="belongs to no run"):
        abilities_of(changed)
    with pytest.raises(NeuroMFAError, match="no checkpoint of a run"):
        rescaled_start(changed)


def test_tensors_that_do_not_belong_are_refused(trained):
    with pytest.raises(NeuroMFAError, match=r"elsewhere \(2, 2\).*no matrix or vector there"):
        ChangedCheckpoint(trained, "wrong", {"elsewhere": np.ones((2, 2))})
    with pytest.raises(NeuroMFAError, match=r"lm_head.weight \(64, 63\).*shape \(64, 64\)"):
        ChangedCheckpoint(trained, "wrong", {"lm_head.weight": np.ones((64, 63))})


def test_embeddings_are_changed_only_when_asked_for(trained):
    blocks, everything = permuted_outgoing(trained).tensors(), permuted_outgoing(trained, embeddings=True).tensors()
    before = ChangedCheckpoint(trained, "nothing").tensors()
    changed = [name for name in before if not np.array_equal(blocks[name], everything[name])]
    assert changed == ["gpt_neox.embed_in.weight", "lm_head.weight"]
    for name, axis in (("gpt_neox.embed_in.weight", 1), ("lm_head.weight", 0)):
        # a token's weights go to the hidden neurons: its row; those of a hidden neuron to the tokens: its column
        np.testing.assert_array_equal(np.sort(everything[name], axis), np.sort(before[name], axis))
        np.testing.assert_array_equal(blocks[name], before[name])
    with pytest.raises(NeuroMFAError, match="holds no embedding"):
        permuted_outgoing(nmfa.load_network(trained), embeddings=True)


def test_an_unembedding_tied_to_the_embedding_stays_so(transposed):
    config = CONFIG | {"tie_word_embeddings": True}
    tensors = gpt_neox_tensors()
    tensors["embed_out.weight"] = tensors["gpt_neox.embed_in.weight"]
    found = permuted_outgoing(open_source(tensors, config=config), embeddings=True).tensors()
    np.testing.assert_array_equal(found["embed_out.weight"], found["gpt_neox.embed_in.weight"])
    assert not np.array_equal(found["embed_out.weight"], tensors["embed_out.weight"])
    alone, source = transposed  # where no unembedding is named the embedding is one: changed once
    doubled = apply(source, "doubled", lambda block, weights, stream: 2 * weights, embeddings=True)
    np.testing.assert_array_equal(doubled.tensors()["wte.weight"], 2 * alone["wte.weight"])


def test_shuffled_keeps_a_matrix_and_random_signs_keep_strengths(trained):
    before, mixed, signed = (nmfa.load_network(each) for each in (trained, shuffled(trained), random_signs(trained)))
    for old, new, other in zip(*(n.weight_blocks for n in (before, mixed, signed)), strict=True):
        np.testing.assert_array_equal(np.sort(new.weights(), None), np.sort(old.weights(), None))
        assert not np.array_equal(np.sort(new.weights(), axis=0), np.sort(old.weights(), axis=0))
        np.testing.assert_array_equal(np.abs(other.weights()), np.abs(old.weights()))
        # half the signs turn: five standard deviations of a fair coin
        assert abs((other.weights() != old.weights()).mean() - 0.5) < 2.5 / np.sqrt(old.weights().size)


def test_rescaled_start_has_the_pattern_of_step_0_and_the_deviations_of_its_step(run, trained):
    start, twin = run.checkpoint(0), rescaled_start(trained)
    assert (twin.step, twin.seed, twin.abilities) == (724, 0, trained.abilities)
    for old, like, new in zip(*(nmfa.load_network(n).weight_blocks for n in (start, trained, twin)), strict=True):
        assert new.weights().std() == pytest.approx(like.weights().std(dtype=float), rel=1e-12)
        np.testing.assert_allclose(new.weights() / new.weights().std(), old.weights() / old.weights().std(dtype=float))
    unchanged = twin.tensors()["gpt_neox.embed_in.weight"]
    np.testing.assert_array_equal(unchanged, open_source(start).matrices["gpt_neox.embed_in.weight"].read())
    of_changed = rescaled_start(scaled(trained, 2))
    assert nmfa.load_network(of_changed).weight_blocks[0].weights().std() == pytest.approx(
        2 * nmfa.load_network(twin).weight_blocks[0].weights().std(), rel=1e-12
    )


def test_an_edge_list_with_lengths_of_its_own_is_scaled_too():
    import networkx as nx

    graph = nx.path_graph(4)
    nx.set_edge_attributes(graph, 2.0, "distance")
    network = nmfa.NeuronNetwork.from_networkx(graph)
    block = scaled(network, 2).weight_blocks[0]
    np.testing.assert_array_equal(block.lengths(nmfa.PAPER), np.ones(6))
    assert block.both_ways and not random_signs(network, seed=0).weight_blocks[0].both_ways


def test_impossible_seeds_are_refused(trained):
    for seed in (-1, 1.5, True):
        with pytest.raises(NeuroMFAError, match="seed="):
            permuted_outgoing(trained, seed=seed)


# --- what a checkpoint can do -----------------------------------------------------------------------------------


@pytest.mark.torch
def test_abilities_of_a_checkpoint_are_those_of_its_run(run, trained):
    for checkpoint in (trained, run.checkpoint(128, seed=1)):
        # another processor may round a handful of near ties otherwise: 8 of about 7,700 positions
        assert abilities_of(checkpoint) == pytest.approx(checkpoint.abilities, abs=1e-3)


@pytest.mark.torch
def test_permuted_outgoing_destroys_the_ability_and_leaves_emergence_exactly(run, trained):
    changed = permuted_outgoing(trained)
    assert abilities_of(trained)["copy_accuracy"] > 0.95 and abilities_of(changed)["copy_accuracy"] < 0.05
    before, after = emergence_from(run.checkpoint(0), [trained, changed], neurons_per_layer=None)
    assert before > 0.5 and after == before


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name in changes.CHANGES if name != changes.SCALE])
def test_every_named_control_that_destroys_leaves_no_ability(trained, name):
    changed = changes.CHANGES[name](trained)
    assert isinstance(changed, ChangedCheckpoint) and changed.step == 724
    assert abilities_of(changed)["copy_accuracy"] < 0.05  # a guess is right once in 63


def test_a_common_factor_leaves_the_scale_free_emergence_at_exactly_0(trained):
    plain, free = (emergence_from(trained, [scaled(trained, 2)], each)[0] for each in (nmfa.PAPER, nmfa.SCALE_FREE))
    assert free == 0 and abs(plain) > 0.01


@pytest.mark.torch
def test_logits_of_old_names_and_of_a_bare_model_are_the_same(trained):
    tensors, config = ChangedCheckpoint(trained, "nothing").tensors(), open_source(trained).config
    tokens = np.arange(1, 25)[None]
    expected = logits(trained, tokens)
    old = {name.replace("lm_head", "embed_out"): array for name, array in tensors.items()}
    old["gpt_neox.layers.0.attention.bias"] = np.ones((1, 1, 4, 4))
    bare = {name.removeprefix("gpt_neox."): array for name, array in tensors.items()}
    for each in (old, bare):
        np.testing.assert_array_equal(logits(open_source(each, config=config), tokens), expected)


@pytest.mark.torch
def test_a_model_that_cannot_be_built_says_why(trained):
    tensors, config = ChangedCheckpoint(trained, "nothing").tensors(), open_source(trained).config
    with pytest.raises(NeuroMFAError, match=r"lacks lm_head.weight"):
        logits(open_source({n: a for n, a in tensors.items() if n != "lm_head.weight"}, config=config), [[1]])
    with pytest.raises(NeuroMFAError, match="another shape of"):
        logits(open_source(tensors, config=config | {"vocab_size": 63}), [[1]])
    with pytest.raises(NeuroMFAError, match="transformers builds no model"):
        logits(open_source(tensors, config={"model_type": "toy"}), [[1]])
    with pytest.raises(SourceError, match="cannot open"):
        logits(3, [[1]])


def test_every_public_name_is_there():
    assert all(hasattr(controls, name) for name in controls.__all__)
