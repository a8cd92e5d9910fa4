"""From a trace to a network: nothing that the trace says is lost or added, and layers are as one would draw them."""

import numpy as np
import pytest

from neuromfa_lite import GEODESIC, PAPER, SCALE_FREE, NeuroMFAError, analyze, load_network
from neuromfa_lite.network.feeders import feeders

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from neuromfa_lite.network.trace import trace  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.small]


def model(call, **parts):
    """A module that computes call(parts, ...), parts by attribute."""

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, *given):
            return call(self, *given)

    torch.manual_seed(0)
    made = Parts()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def attend(s, x, heads=3):
    n, t, _ = x.shape
    q, k, v = (y.reshape(n, t, heads, -1).transpose(1, 2) for y in s.qkv(x).chunk(3, -1))
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, -1)
    x = x + s.out(mixed)
    return s.head(x + s.down(F.silu(s.gate(x)) * s.up(x)))


def unet(s, x):
    a = F.relu(s.first(x))
    b = s.up(F.relu(s.down(a)))
    return s.last(torch.cat([b, a], 1))


def routed(s, x):
    shares = s.router(x).softmax(-1)
    return s.after(x + sum(shares[..., n : n + 1] * expert(x) for n, expert in enumerate((s.one, s.two))))


def recurrent(s, x):
    state = torch.zeros(len(x), 6)
    for step in x.unbind(1):
        state = torch.tanh(s.read(step) + s.back(state))
    return s.out(state)


ZOO = {
    "MLP": (lambda s, x: s.b(F.relu(s.a(x))), {"a": nn.Linear(5, 7), "b": nn.Linear(7, 3)}, (2, 5)),
    "one matrix twice": (
        lambda s, x: s.c(F.relu(s.b(F.relu(s.b(s.a(x)))))),
        {"a": nn.Linear(4, 6), "b": nn.Linear(6, 6), "c": nn.Linear(6, 3)},
        (2, 4),
    ),
    "attention and gates": (
        attend,
        {"qkv": nn.Linear(12, 36), "out": nn.Linear(12, 12), "gate": nn.Linear(12, 10), "up": nn.Linear(12, 10),
         "down": nn.Linear(10, 12), "head": nn.Linear(12, 2)},
        (2, 5, 12),
    ),
    "U-Net": (
        unet,
        {"first": nn.Conv2d(3, 4, 3, padding=1), "down": nn.Conv2d(4, 6, 2, stride=2),
         "up": nn.ConvTranspose2d(6, 5, 2, stride=2), "last": nn.Conv2d(9, 2, 1)},
        (1, 3, 6, 6),
    ),
    "kernels in groups": (
        lambda s, x: s.c(s.b(F.relu(s.a(x))).flatten(1)),
        {"a": nn.Conv1d(4, 6, 3), "b": nn.Conv1d(6, 6, 2, groups=3), "c": nn.Linear(18, 4)},
        (2, 4, 6),
    ),
    "experts": (
        routed,
        {"router": nn.Linear(6, 2), "one": nn.Linear(6, 6), "two": nn.Linear(6, 6), "after": nn.Linear(6, 3)},
        (2, 3, 6),
    ),
    "recurrent": (recurrent, {"read": nn.Linear(4, 6), "back": nn.Linear(6, 6), "out": nn.Linear(6, 2)}, (2, 3, 4)),
    "LSTM": (lambda s, x: s.out(s.cell(x)[0]), {"cell": nn.LSTM(4, 5), "out": nn.Linear(5, 2)}, (3, 2, 4)),
    "turned and reordered": (
        lambda s, x: s.b(s.a(x)[..., torch.tensor([4, 0, 3, 1, 2])]) + s.c(x).roll(1, -1),
        {"a": nn.Linear(3, 5), "b": nn.Linear(5, 3), "c": nn.Linear(3, 3)},
        (2, 3),
    ),
}  # fmt: skip


def made(name):
    call, parts, shape = ZOO[name]
    torch.manual_seed(1)
    return model(call, **parts), torch.randn(shape)


@pytest.mark.parametrize("name", ZOO)
def test_a_network_feeds_what_its_trace_says_and_nothing_else(name):
    module, inputs = made(name)
    network, found = load_network(module, inputs=inputs, ends="all"), trace(module, inputs)
    expected = {}
    for use in found.uses:
        of = expected.setdefault(use.name, {}) if use.kind != "input" else {}
        for feed in use.feeds:
            earlier = found.uses[feed.earlier]
            if earlier.kind != "input":
                joined = of.setdefault(earlier.name, np.zeros((use.n_in, earlier.n_out), bool))
                joined[tuple(feed.pairs().T)] = True
    mine = feeders(network.layers, network.blocks)
    assert mine.keys() == expected.keys()
    for reader, of in expected.items():
        assert mine[reader].keys() == of.keys()
        for writer, joined in of.items():
            np.testing.assert_array_equal(mine[reader][writer], joined)


@pytest.mark.parametrize("name", ZOO)
def test_weights_are_those_of_the_model_and_shared_with_it(name):
    module, inputs = made(name)
    network = load_network(module, inputs=inputs)
    total = sum(p.numel() for n, p in module.named_parameters() if p.dim() > 1)
    assert network.connections == total
    listed = np.sort(np.concatenate([np.abs(np.ravel(block.weights())) for block in network.weight_blocks]))
    own = [p.detach().numpy().ravel() for p in module.parameters() if p.dim() > 1]
    np.testing.assert_array_equal(listed, np.sort(np.abs(np.concatenate(own))))


@pytest.mark.parametrize("name", ZOO)
def test_every_named_method_measures_it(name):
    network = load_network(*made(name)[:1], inputs=made(name)[1])
    for method in (PAPER, SCALE_FREE, GEODESIC):
        loose = method.replace(minimum_connections=1, window=(0, 1000) if method.window else None)
        assert analyze(network, loose).neurons_used > 2
    sample = network.sample(3, seed=0)
    assert sample.traced and {len(layer) for layer in sample.layers} <= {1, 2, 3}


def drawn(name, **how):
    module, inputs = made(name)
    network = load_network(module, inputs=inputs, **how)
    names = [layer.name for layer in network.layers]
    joins = [
        (block.name, names[block.source], names[block.target], block.kind if block.fixed else "")
        for block in network.blocks
    ]
    return {layer.name: (layer.size, layer.role) for layer in network.layers}, joins


def test_an_mlp_is_three_layers_and_two_matrices():
    layers, joins = drawn("MLP")
    assert layers == {"input 0": (5, "input"), "a": (7, "hidden"), "b": (3, "output")}
    assert joins == [("a.weight", "input 0", "a", ""), ("b.weight", "a", "b", "")]


def test_ends_are_in_or_out_as_asked():
    _, joins = drawn("MLP", ends="none")
    assert joins == [("a.weight", "before a", "a", "")]
    words = model(
        lambda s, x: s.scores(F.relu(s.inner(s.words(x)))),
        words=nn.Embedding(9, 4),
        inner=nn.Linear(4, 5),
        scores=nn.Linear(5, 9),
    )
    inside, everything = (load_network(words, inputs=torch.arange(4), ends=ends) for ends in ("inside", "all"))
    assert [block.name for block in inside.blocks] == ["inner.weight"]
    assert [block.name for block in everything.blocks] == ["words.weight", "inner.weight", "scores.weight"]
    table = inside.describe().set_index("name")
    assert table.loc["words.weight", "why"].startswith("tokens") and not table.loc["scores.weight", "read"]


def test_attention_has_queries_keys_and_values_and_gates_write_one_layer():
    layers, joins = drawn("attention and gates")
    roles = {name: role for name, (_, role) in layers.items()}
    assert roles["qkv query"] == "query" and roles["qkv key"] == "key" and roles["qkv value"] == "value"
    assert roles["before out"] == "attention" and roles["gate + up"] == "mlp"
    assert ("gate.weight", "before gate", "gate + up", "") in joins and (
        "up.weight",
        "before gate",
        "gate + up",
        "",
    ) in joins
    assert [kind for *ends, kind in joins if ends[1:] == ["qkv key", "before out"]] == ["groups"]
    assert [kind for *ends, kind in joins if ends[1:] == ["input 0", "before gate"]] == ["one-to-one"]


def test_a_residual_stream_is_one_layer_at_each_point_and_each_point_joins_the_next():
    layers, joins = drawn("attention and gates")
    stream = ["input 0", "before gate", "before head"]
    assert all(layers[name][0] == 12 for name in stream)
    residual = [(source, target) for name, source, target, kind in joins if not name and {source, target} <= {*stream}]
    assert residual == [("input 0", "before gate"), ("before gate", "before head")]


def test_a_matrix_used_twice_counts_once_and_leads_back():
    _, joins = drawn("one matrix twice")
    assert [join for join in joins if join[0] == "b.weight"] == [("b.weight", "before b", "b", "")]
    assert ("", "b", "before b", "one-to-one") in joins


def test_channels_side_by_side_are_a_layer_of_their_own():
    layers, joins = drawn("U-Net")
    assert layers["before last"] == (9, "channel")
    assert {(source, kind) for _, source, target, kind in joins if target == "before last"} == {
        ("up", "one-to-one"), ("first", "one-to-one"),
    }  # fmt: skip
    assert all(role in ("channel", "input") for _, role in layers.values())


def test_a_router_feeds_every_output_of_its_experts():
    _, joins = drawn("experts")
    assert ("one.weight", "input 0", "before after", "") in joins
    assert [kind for _, source, target, kind in joins if (source, target) == ("router", "before after")] == [
        "all-to-all"
    ]


def test_what_is_not_placed_is_listed_with_its_reason():
    parts = {"a": nn.Linear(3, 4), "b": nn.Linear(4, 2), "unused": nn.Linear(2, 2), "places": nn.Embedding(2, 4)}
    odd = model(lambda s, x: s.b(torch.cdist(s.a(x), s.places.weight) @ torch.ones(2, 4)), **parts)
    table = load_network(odd, inputs=torch.ones(2, 3)).describe().set_index("name")
    assert "not used" in table.loc["unused.weight", "why"] and "cdist" in table.loc["places.weight", "why"]
    assert table.loc["a.weight", "why"] == "weight matrix, by dataflow"


def test_what_is_chosen_by_value_is_named_as_cut_and_not_joined():
    parts = {"score": nn.Linear(4, 3), "words": nn.Embedding(3, 4), "b": nn.Linear(4, 2)}
    chosen = model(lambda s, x: s.b(s.words(s.score(x).argmax(-1)) + x.round()), **parts)
    network = load_network(chosen, inputs=torch.randn(5, 4))
    why = network.describe().set_index("name")["why"]
    assert "score.weight is cut by argmax" in why["words.weight"] and "input 0 is cut by round" in why["b.weight"]
    names = [layer.name for layer in network.layers]
    assert not [block for block in network.blocks if block.fixed and names[block.target] == "before b"]


def test_what_the_trace_doubts_stands_in_the_table():
    mixed = model(attend, **ZOO["attention and gates"][1])
    table = load_network(mixed, inputs=torch.randn(1, 1, 12)).describe()
    assert table["why"].str.contains("three tokens").any()


@pytest.mark.parametrize("name", ["U-Net", "kernels in groups", "MLP"])
def test_kernels_may_count_by_their_norm(name):
    module, inputs = made(name)
    parallel = load_network(module, inputs=inputs)
    norms = load_network(module, inputs=inputs, wiring="dataflow-kernel-norms")
    for one, several in zip(norms.weight_blocks, parallel.weight_blocks, strict=True):
        squares = np.zeros(several.shape)
        sources, targets, weights = several.edges()
        np.add.at(squares, (targets, sources), weights**2)
        sources, targets, weights = one.edges()
        found = np.zeros(several.shape)
        found[targets, sources] = np.abs(weights)
        assert len(weights) == np.count_nonzero(squares)
        np.testing.assert_allclose(found, np.sqrt(squares), rtol=1e-12)
    with pytest.raises(NeuroMFAError, match=r"wiring=.chain. is unknown: use one of .dataflow."):
        load_network(module, inputs=inputs, wiring="chain")
