"""Joins: which neurons are joined by what, against plain products, against models changed by hand, and lazily."""

import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, SCALE_FREE, NeuronNetwork, load_network
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.evaluation.controls import scaled
from neuromfa_lite.masses import count_masses, geodesic_distances
from neuromfa_lite.method import PARTS
from neuromfa_lite.network import NeuronLayer, both_directions, chain
from neuromfa_lite.network.architectures import ARCHITECTURES, Architecture, Join, fused_rows, register
from neuromfa_lite.network.architectures.record import Known
from neuromfa_lite.network.connections import Dense, Edges
from neuromfa_lite.weights import WeightMatrix, open_source

HIDDEN, HEADS = CONFIG["hidden_size"], CONFIG["num_attention_heads"]
SIZE = HIDDEN // HEADS
every_wiring = pytest.mark.parametrize("wiring", PARTS["wiring"])


def model(seed=0, **config):
    """Tensors of a small GPT-NeoX with gains that are not 1."""
    tensors = gpt_neox_tensors({**CONFIG, **config}, dtype=np.float64)
    draw = np.random.default_rng(seed)
    for block in range(2):
        tensors[f"gpt_neox.layers.{block}.post_attention_layernorm.weight"] = np.zeros(HIDDEN)
    for name in tensors:
        if "norm.weight" in name:
            tensors[name] = draw.uniform(0.5, 2, tensors[name].shape)
    return tensors


def opened(tensors, wiring="chain", **config):
    return load_network(tensors, config={**CONFIG, **config}, wiring=wiring)


def weights_by_role(network):
    """{(role, block name): weights}."""
    return {block.name: block.weights() for block in network.weight_blocks}


def stored(tensors, block, name):
    return tensors[f"gpt_neox.layers.{block}.{name}.weight"]


def fused(tensors, block):
    """query, key, value of all heads, (hidden, hidden) each."""
    whole = stored(tensors, block, "attention.query_key_value")
    return [whole[fused_rows(HEADS, SIZE, position)] for position in range(3)]


def test_every_name_has_its_function():
    assert all(callable(function) for function in PARTS["wiring"].values())


def test_both_directions_count_what_leaves_and_what_enters():
    network = opened(model(), "both-directions")
    method = PAPER.replace(wiring="both-directions", window=(0.0, 1e9), minimum_connections=1, radii=(30.0, 60.0, 1e9))
    masses = count_masses(network, method)
    weights, middle = model(), 5  # the layer between attention and MLP
    leaves = stored(weights, 0, "mlp.dense_h_to_4h")  # (mlp, middle)
    enters = stored(weights, 0, "attention.dense")  # (middle, attention)
    both = np.concatenate([np.abs(leaves).T, np.abs(enters)], axis=1)
    expected = [(1 + np.count_nonzero(np.rint(1 / both) <= r, axis=1)).tolist() for r in (30, 60, 1e9)]
    assert network.layers[middle].name == "block 0 middle"
    assert masses.counts[masses.layer == middle].T.tolist() == expected


def test_head_products_are_the_products_of_the_heads():
    tensors = model()
    found = weights_by_role(opened(tensors, "head-products"))
    for block in range(2):
        query, key, value = fused(tensors, block)
        output = stored(tensors, block, "attention.dense")
        for head in range(HEADS):
            rows = slice(head * SIZE, (head + 1) * SIZE)
            moved, compared = output[:, rows] @ value[rows], query[rows].T @ key[rows]
            name = f"block {block} head {head}"
            np.testing.assert_allclose(found[f"{name} value-output"], moved, rtol=1e-12, atol=1e-18)
            np.testing.assert_allclose(found[f"{name} query-key"], compared, rtol=1e-12, atol=1e-18)
    mlp = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    np.testing.assert_array_equal(found[mlp], tensors[mlp])


def rescaled_inside_heads(tensors, factor=4.0):
    """V and O, Q and K scaled against each other: powers of two, so that not a bit of the function changes."""
    changed = {name: each.copy() for name, each in tensors.items()}
    for block in range(2):
        whole = stored(changed, block, "attention.query_key_value")
        whole[fused_rows(HEADS, SIZE, 0)] *= factor
        whole[fused_rows(HEADS, SIZE, 1)] /= factor
        whole[fused_rows(HEADS, SIZE, 2)] *= factor
        stored(changed, block, "attention.dense")[:] /= factor
    return changed


def gains_folded(tensors):
    changed = {name: each.copy() for name, each in tensors.items()}
    for block in range(2):
        for norm, matrix in (
            ("input_layernorm", "attention.query_key_value"),
            ("post_attention_layernorm", "mlp.dense_h_to_4h"),
        ):
            gain = stored(changed, block, norm)
            stored(changed, block, matrix)[:] *= gain
            gain[:] = 1
    return changed


def middle_permuted(tensors):
    changed = {name: each.copy() for name, each in tensors.items()}
    order = np.random.default_rng(4).permutation(CONFIG["intermediate_size"])
    for block in range(2):
        stored(changed, block, "mlp.dense_h_to_4h")[:] = stored(tensors, block, "mlp.dense_h_to_4h")[order]
        stored(changed, block, "mlp.dense_4h_to_h")[:] = stored(tensors, block, "mlp.dense_4h_to_h")[:, order]
    return changed


def test_folded_is_the_chain_of_the_model_with_its_gains_folded_in():
    tensors = model()
    by_hand = weights_by_role(opened(gains_folded(tensors)))
    for name, weights in weights_by_role(opened(tensors, "folded")).items():
        np.testing.assert_allclose(weights, by_hand[name], rtol=1e-15)


@pytest.mark.parametrize("change", [rescaled_inside_heads, gains_folded, middle_permuted])
def test_folded_head_products_ignore_what_leaves_the_function_as_it_is(change):
    tensors, method = model(), nmfa.METHODS["folded-heads"]
    before, after = (nmfa.analyze(opened(each, method.wiring), method) for each in (tensors, change(tensors)))
    np.testing.assert_allclose(after.tau, before.tau, atol=1e-9)


def test_the_chain_feels_a_gain_that_is_folded_in():
    tensors = model()
    before, after = (nmfa.analyze(opened(each), SCALE_FREE) for each in (tensors, gains_folded(tensors)))
    assert abs(after.alpha0 - before.alpha0) > 1e-4


def test_head_products_ignore_a_rescaling_that_the_published_network_feels():
    tensors = model()
    products = PAPER.replace(wiring="head-products", window=(0.0, 1e6), minimum_connections=1)
    changed = rescaled_inside_heads(tensors)
    before, after = (nmfa.analyze(opened(each, products.wiring), products).alpha0 for each in (tensors, changed))
    assert before == after
    window = PAPER.replace(window=(0.0, 1e6), minimum_connections=1)
    assert abs(nmfa.analyze(opened(tensors), window).alpha0 - nmfa.analyze(opened(changed), window).alpha0) > 1e-3


@pytest.mark.parametrize("wiring", ["both-directions", "head-products", "folded", "with-embeddings"])
def test_a_sample_has_the_neurons_of_a_sample_of_the_chain(wiring):
    tensors = model()
    numbers = {layer.name: layer.numbers.tolist() for layer in opened(tensors).sample(5, seed=2).layers}
    drawn = opened(tensors, wiring).sample(5, seed=2).layers
    shared = [layer for layer in drawn if layer.role not in ("token", "query")]
    assert len(shared) >= 7
    assert all(numbers[layer.name] == layer.numbers.tolist() for layer in shared)


def test_embeddings_stand_around_the_chain():
    tensors = model()
    network = opened(tensors, "with-embeddings")
    first, last = network.blocks[0], network.blocks[-1]
    assert [layer.name for layer in network.layers][:: len(network.layers) - 1] == ["tokens in", "tokens out"]
    np.testing.assert_array_equal(first.weights(), tensors["gpt_neox.embed_in.weight"].T)
    np.testing.assert_array_equal(last.weights(), tensors["embed_out.weight"])
    sample = network.sample(4, seed=1)
    assert sample.layers[0].numbers.tolist() == sample.layers[-1].numbers.tolist()
    left_out = {name for name, *_ in network.left_out}
    assert not left_out & {"gpt_neox.embed_in.weight", "embed_out.weight"}


MEASURES = {
    "analyze": nmfa.analyze,
    "confidence": nmfa.confidence,
    "neuron_fractal_dimension": nmfa.neuron_fractal_dimension,
    "redraws": lambda network, method: nmfa.study.redraws(network, 4, method=method, samples=2),
    "count_masses": count_masses,
    "geodesic_distances": lambda network, method: geodesic_distances(network, method.replace(reach="geodesic")),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_network_is_measured_as_it_was_opened_and_never_joined_anew(measure):
    """No file is opened and no sample drawn again: a method that joins otherwise is refused with the call to make."""
    checkpoint = nmfa.load_run("induction").checkpoint(724)
    other = PAPER.replace(name="mine", wiring="both-directions")
    with pytest.raises(NeuroMFAError, match=r"wiring='both-directions'\), or .*method\.replace\(wiring=None\)"):
        measure(load_network(checkpoint), other)
    with pytest.raises(NeuroMFAError, match=r"load_network\(source, wiring='chain'\)"):
        measure(load_network(checkpoint, wiring="both-directions"), PAPER)


def test_a_wiring_that_was_defined_again_is_the_same_wiring():
    def defined(source):
        return chain(source)

    def again():
        def defined(source):
            return chain(source)

        return defined

    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring=again()).sample(16)
    assert nmfa.analyze(network, PAPER.replace(wiring=again())).neurons_used > 0
    with pytest.raises(NeuroMFAError, match="asks for another one of that name"):
        nmfa.analyze(network, PAPER.replace(wiring=defined))


def test_a_wiring_may_call_itself_and_is_told_apart_by_all_numbers_that_it_holds():
    def made(numbers):
        def count(n):
            return 0 if n == 0 else count(n - 1)

        def wiring(source):
            count(3)
            return chain(source).layers, chain(source).blocks[: len(numbers)]

        return wiring

    numbers = np.zeros(5000)
    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring=made(numbers)).sample(16)
    assert nmfa.analyze(network, PAPER.replace(name="mine", wiring=made(numbers))).neurons_used > 0
    numbers = numbers.copy()
    numbers[2500] = 1.0
    with pytest.raises(NeuroMFAError, match="asks for another one of that name"):
        nmfa.analyze(network, PAPER.replace(name="mine", wiring=made(numbers)))


@pytest.mark.parametrize("kind", ["edges", "far weights"])
def test_a_wiring_that_answers_twice_differently_is_found_wherever_it_does(kind):
    draw = np.random.default_rng(0)

    def drawn(source):
        layers, ends = [NeuronLayer("a", 90)], draw.integers(0, 90, (2, 50))
        if kind == "edges":
            return layers, [Edges("e", "", 0, 0, *ends, np.full(50, 0.5), (90, 90))]
        weights = np.ones((90, 90))
        weights[80:] = draw.normal(size=(10, 90))
        return layers, [Dense("w", "", 0, 0, WeightMatrix.from_array("w", weights))]

    with pytest.raises(NeuroMFAError, match="wiring 'drawn' gave two answers"):
        load_network(nmfa.load_run("induction").checkpoint(0), wiring=drawn)


def test_nan_is_not_taken_for_a_second_answer():
    tensors = model()
    tensors["gpt_neox.layers.0.attention.dense.weight"][0, 0] = np.nan

    def same(source):
        made = chain(source)
        return made.layers, made.blocks

    network = opened(tensors, same)
    with pytest.raises(NeuroMFAError, match=r"attention\.dense.*NaN"):
        nmfa.analyze(network, SCALE_FREE.replace(wiring=same))


def test_a_block_that_does_not_fit_its_layers_is_refused_in_a_sample_too():
    block = Dense("w", "", 0, 1, WeightMatrix.from_array("w", np.ones((40, 200))))
    with pytest.raises(NeuroMFAError, match=r"block 'w' has shape \(40, 200\)"):
        NeuronNetwork([NeuronLayer("a", 4), NeuronLayer("b", 4)], [block], seed=0)


class Joiner:
    def __init__(self, directions):
        self.directions = directions

    def wiring(self, source):
        return (chain, both_directions)[self.directions - 1](source)


def by_default(directions):
    def wiring(source, *, directions=directions):
        return Joiner(directions).wiring(source)

    return wiring


@pytest.mark.parametrize("made", [lambda directions: Joiner(directions).wiring, by_default])
def test_joins_that_differ_in_what_they_hold_are_not_the_same(made):
    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring=made(1))
    with pytest.raises(NeuroMFAError, match="asks for another one of that name"):
        nmfa.analyze(network, PAPER.replace(name="mine", wiring=made(2)))


def test_a_method_without_a_wiring_measures_a_network_as_it_is():
    checkpoint, method = nmfa.load_run("induction").checkpoint(724), SCALE_FREE.replace(wiring="head-products")
    network = load_network(checkpoint, wiring="head-products").sample(16)
    assert nmfa.analyze(network, method.replace(wiring=None)).tau.tolist() == nmfa.analyze(network, method).tau.tolist()
    assert load_network(checkpoint, wiring=None).wiring == "chain"


def test_a_network_that_no_wiring_made_is_never_refused_for_it():
    star = NeuronNetwork.from_edges([0] * 30, range(1, 31), 1 / np.arange(2.0, 32.0))
    expected = nmfa.analyze(star, PAPER).tau
    for wiring in PARTS["wiring"]:
        np.testing.assert_array_equal(nmfa.analyze(star, PAPER.replace(wiring=wiring)).tau, expected)


def test_a_changed_network_keeps_the_join_it_had():
    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring="head-products")
    method = SCALE_FREE.replace(wiring="head-products")
    twice = nmfa.analyze(scaled(network, 2), method)
    assert twice.alpha0 == pytest.approx(nmfa.analyze(network, method).alpha0)
    with pytest.raises(NeuroMFAError, match="was opened with wiring='head-products'"):
        nmfa.analyze(scaled(network, 2))


def test_opening_reads_no_matrix(monkeypatch):
    source = open_source(nmfa.load_run("induction").checkpoint(724))

    def refuse(self, *_):
        assert self.shape[0] == 1, f"{self.name} was read"  # a gain is a matrix of one row

    monkeypatch.setattr(WeightMatrix, "_take", lambda self, *_: refuse(self) or np.ones((1, self.shape[1])))
    for wiring in PARTS["wiring"]:
        assert load_network(source, wiring=wiring).connections > 0


def test_a_product_is_computed_for_the_neurons_that_are_read(monkeypatch):
    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring="head-products")
    block = network.blocks[0]
    read, original = [], WeightMatrix._take

    def watch(self, targets, sources):
        weights = original(self, targets, sources)
        read.append(weights.size)
        return weights

    monkeypatch.setattr(WeightMatrix, "_take", watch)
    part = block.take(np.array([3, 5]), np.array([0, 1, 7])).weights()
    assert max(read) <= 3 * 16 and part.shape == (2, 3)
    np.testing.assert_allclose(part, block.weights()[[3, 5]][:, [0, 1, 7]], rtol=1e-12)


@every_wiring
def test_describe_and_hash_work_for_every_wiring(wiring):
    network = load_network(nmfa.load_run("induction").checkpoint(724), wiring=wiring)
    table = network.describe()
    assert table["read"].any() and table["name"].is_unique
    untrained = load_network(nmfa.load_run("induction").checkpoint(0), wiring=wiring)
    assert network.content_hash() != untrained.content_hash()


def mlp_only(source):
    """A wiring of one's own: the first layers of the chain and its MLP matrices."""
    made = chain(source)
    return made.layers, tuple(block for block in made.blocks if block.role in ("mlp-in", "mlp-out"))


def test_a_wiring_of_ones_own_goes_through_everything():
    run = nmfa.load_run("induction")
    method = PAPER.replace(name="mlp only", wiring=mlp_only)
    spectrum = nmfa.analyze(load_network(run.checkpoint(724), wiring=mlp_only).sample(16), method)
    assert set(spectrum.masses.labels("role")) == {"middle", "mlp"}
    history = nmfa.follow(run, method, samples=1, neurons_per_layer=16, steps=[0, 724])
    assert history.summary()["emergence"].iloc[0] == 0
    assert method.key != PAPER.key != PAPER.replace(wiring="folded").key


def misfit(source):
    matrix = WeightMatrix.from_array("w", np.ones((3, 2)))
    return [NeuronLayer("in", 2), NeuronLayer("out", 4)], [Dense("w", "", 0, 1, matrix)]


@pytest.mark.parametrize(
    "wiring, message",
    [
        (lambda source: None, "must return"),
        (lambda source: ([1], [2]), "must return"),
        (lambda source: source.nothing, "raised AttributeError"),
        (misfit, "'w' has shape .3, 2.* layers of 4 and 2"),
    ],
)
def test_a_bad_join_is_refused_by_name(wiring, message):
    with pytest.raises(NeuroMFAError, match=message):
        load_network(nmfa.load_run("induction").checkpoint(0), wiring=wiring)


def test_an_unknown_join_is_refused_with_the_known_ones():
    with pytest.raises(NeuroMFAError, match="head-products"):
        load_network(nmfa.load_run("induction").checkpoint(0), wiring="heads")
    with pytest.raises(NeuroMFAError, match="wiring='heads' is unknown"):
        PAPER.replace(wiring="heads")


@pytest.mark.parametrize("wiring", ["head-products", "with-embeddings"])
def test_an_architecture_without_the_parts_is_refused_by_name(wiring):
    layers = [NeuronLayer("in", 3), NeuronLayer("out", 2, role="output")]
    register(Architecture("toy", layers=layers, joins=[Join("in", "out", "fc.weight", role="mlp-in")]))
    config = {"model_type": "toy", "num_attention_heads": 1}
    try:
        with pytest.raises(SourceError, match="architecture"):
            load_network({"fc.weight": np.ones((2, 3))}, config=config, wiring=wiring)
    finally:
        ARCHITECTURES.pop("toy")


def recorded(monkeypatch, config, **told):
    """Register somebody's own record of the same network, which says of gains and heads what is told; its config."""
    neox = ARCHITECTURES["gpt_neox"]
    layers, joins = (
        lambda known, list_=list_: list_(Known(CONFIG, known.shapes)) for list_ in (neox.layers, neox.joins)
    )
    record = Architecture("mine", layers, joins, prefixes=neox.prefixes, **told)
    monkeypatch.setitem(ARCHITECTURES, "mine", record)
    return CONFIG | {"model_type": "mine"} | config


@pytest.mark.parametrize(
    ("wiring", "told", "config", "said"),
    [
        ("folded", {}, {}, r"record of mine does not say which layer norms' gains .*gains=\{"),
        ("folded-head-products", {}, {}, "record of mine does not say which layer norms' gains"),
        ("folded", {"gains": {}}, {}, "record of mine names no gain in front of a matrix, .*wiring='chain'"),
        ("folded", {"gains": {"typo.weight": "norm.weight"}}, {}, "record of mine names no gain"),
        ("head-products", {}, {"num_attention_heads": None}, r'num_attention_heads .*is None.*heads="n_head"'),
        ("head-products", {"heads": "n_head"}, {}, "n_head in the config given is None"),
    ],
)
def test_a_record_that_lacks_gains_or_heads_says_so(monkeypatch, wiring, told, config, said):
    config = recorded(monkeypatch, config, **told)
    with pytest.raises(SourceError, match=said):
        load_network(model(), config=config, wiring=wiring)


def test_a_record_may_tell_its_gains_and_call_its_heads_otherwise(monkeypatch):
    gains = ARCHITECTURES["gpt_neox"].gains(CONFIG)
    config = recorded(monkeypatch, {"num_attention_heads": None, "n_head": HEADS}, gains=gains, heads="n_head")
    for wiring in ("folded", "head-products", "folded-head-products"):
        mine, own = load_network(model(), config=config, wiring=wiring), opened(model(), wiring)
        assert mine.content_hash() == own.content_hash()
