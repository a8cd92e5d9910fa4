"""The trace finds of every model the wiring that its forward says, which is written here by hand."""

import numpy as np
import pytest
from traced import blocks, check, every, joins, kinds, labels, part, positions, same, spread

from neuromfa_lite.errors import SourceError
from neuromfa_lite.network.trace import trace

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
pytestmark = [pytest.mark.torch, pytest.mark.small]


class Model(nn.Module):
    """A forward and its modules."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args, **kwargs):
        return self.run(self, *args, **kwargs)


IDS = torch.tensor([[3, 1, 4, 1, 5, 2]])


# --- plain ones ----------------------------------------------------------------------------------------------------


def test_a_chain_with_one_matrix_twice():
    model = Model(lambda s, x: s.c(F.relu(s.b(F.relu(s.b(F.relu(s.a(x))))))), a=nn.Linear(6, 10), b=nn.Linear(10, 10),
                  c=nn.Linear(10, 3))  # fmt: skip
    expected = {("a", "input 0"): same(6), ("b", "a"): same(10), ("b'2", "b"): same(10), ("c", "b'2"): same(10)}
    traced = check(model, torch.ones(1, 6), expected)
    assert [use.occurrence for use in traced.uses] == [0, 0, 0, 1, 0]
    assert not any(use.transposed for use in traced.uses)


def test_an_autoencoder_that_is_dead_and_all_zero():
    """Neither units that are off nor weights of zero hide a join."""
    first, second = [nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)], [nn.Linear(2, 5), nn.Hardtanh(), nn.Linear(5, 7)]
    model = nn.Sequential(*first, nn.Sigmoid(), *second)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(model[0].bias, -1000)
    nn.init.constant_(model[2].bias, 1000)
    expected = {("0", "input 0"): same(7), ("2", "0"): same(5), ("4", "2"): same(2), ("6", "4"): same(5)}
    check(model, torch.zeros(1, 7), expected)


def test_in_place_calls():
    def forward(s, x):
        x = F.relu_(s.a(x))
        y = s.b(x)
        y += x
        y.mul_(2).clamp_(min=0)
        y[:, 0] = x[:, 1]
        return s.c(F.silu(y, inplace=True))

    model = Model(forward, a=nn.Linear(3, 5), b=nn.Linear(5, 5), c=nn.Linear(5, 2))
    x = same(5)
    x[0] = [False, True, False, False, False]
    y = same(5)
    y[0] = False
    check(model, torch.ones(2, 3), {("a", "input 0"): same(3), ("b", "a"): same(5), ("c", "a"): x, ("c", "b"): y})


def test_a_gated_unit_of_one_matrix_and_a_highway():
    model = Model(lambda s, x: s.b(F.glu(s.a(x))), a=nn.Linear(3, 10), b=nn.Linear(5, 2))
    traced = check(model, torch.ones(2, 3), {("a", "input 0"): same(3), ("b", "a"): np.hstack([same(5), same(5)])})
    assert kinds(traced, "b", "a") == ["one-to-one", "one-to-one"]  # value and gate
    first, second = traced.uses[2].feeds
    assert first.of_target.tolist() == [0, 1, 2, 3, 4] and second.of_target.tolist() == [5, 6, 7, 8, 9]

    def highway(s, x):
        gate = torch.sigmoid(s.t(x))
        return s.o(gate * torch.tanh(s.h(x)) + (1 - gate) * x)

    model = Model(highway, t=nn.Linear(4, 4), h=nn.Linear(4, 4), o=nn.Linear(4, 2))
    check(model, torch.ones(2, 4), {(a, b): same(4) for a, b in
          [("t", "input 0"), ("h", "input 0"), ("o", "input 0"), ("o", "t"), ("o", "h")]})  # fmt: skip


def test_a_bilinear_layer():
    model = Model(lambda s, x: s.o(s.m(s.a(x), s.b(x))), a=nn.Linear(3, 4), b=nn.Linear(3, 5), m=nn.Bilinear(4, 5, 6),
                  o=nn.Linear(6, 2))  # fmt: skip
    traced = trace(model, torch.ones(2, 3), progress=False)
    assert [(use.n_in, use.n_out) for use in traced.uses] == [(0, 3), (3, 4), (3, 5), (4, 30), (6, 2)]
    found = joins(traced)
    assert np.array_equal(found["m", "a"], same(4))
    assert np.array_equal(found["o", "m"], blocks(6, 1, 5)) and np.array_equal(found["o", "b"], every(6, 5))
    weights = traced.uses[3].weights(model.m.weight.detach().numpy())[:, :, 0]
    assert np.array_equal(weights.reshape(6, 5, 4), model.m.weight.detach().numpy().transpose(0, 2, 1))


def test_a_hypernetwork_has_no_use_of_the_weights_it_makes():
    def forward(s, x):
        weight = s.make(x).view(4, 3)
        return s.o(F.linear(x, weight))

    model = Model(forward, make=nn.Linear(3, 12), o=nn.Linear(4, 2))
    expected = {("make", "input 0"): same(3), ("o", "make"): blocks(4, 1, 3), ("o", "input 0"): every(4, 3)}
    check(model, torch.ones(1, 3), expected)


def test_a_mixer_of_tokens_and_channels():
    def forward(s, x):  # (batch, tokens, channels)
        x = s.embed(x)
        x = x + s.t2(F.gelu(s.t1(s.norm(x).transpose(1, 2)))).transpose(1, 2)
        return s.o(x.mean(1))

    model = Model(forward, embed=nn.Linear(3, 5), norm=nn.LayerNorm(5), t1=nn.Linear(7, 4), t2=nn.Linear(4, 7),
                  o=nn.Linear(5, 2))  # fmt: skip
    expected = {
        ("embed", "input 0"): same(3),
        ("t1", "embed"): every(7, 5),  # a token mixer reads every channel of its token
        ("t2", "t1"): same(4),
        ("o", "embed"): same(5),
        ("o", "t2"): every(5, 7),
    }
    traced = check(model, torch.randn(1, 7, 3), expected)
    assert positions(traced, "o", "embed") == {False}  # a mean over tokens is no norm


def test_a_graph_convolution():
    def forward(s, x):
        x = F.relu(s.buffer @ s.a(x))
        return torch.matmul(s.buffer @ x, s.b)

    model = Model(forward, a=nn.Linear(3, 5), b=nn.Parameter(torch.randn(5, 2)))
    adjacency = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]])
    expected = {("a", "input 0"): same(3), ("b", "a"): same(5)}
    model.buffer = adjacency.float()
    traced = check(model, torch.randn(4, 3), expected)
    assert traced.uses[2].transposed and positions(traced, "b", "a") == {False}


# --- convolutions --------------------------------------------------------------------------------------------------


def test_a_network_with_groups_and_a_flattened_end():
    def forward(s, x):
        y = F.relu(s.norm(s.c1(x)))
        y = y + F.relu(s.c2(y), inplace=True)
        return s.f(F.max_pool2d(s.depth(y), 2).flatten(1))

    model = Model(forward, c1=nn.Conv2d(3, 6, 3, padding=1), norm=nn.BatchNorm2d(6), f=nn.Linear(24, 5),
                  c2=nn.Conv2d(6, 6, 3, padding="same", groups=2), depth=nn.Conv2d(6, 6, 1, groups=6))  # fmt: skip
    expected = {
        ("c1", "input 0"): same(3),
        ("c2", "c1"): same(6),
        ("depth", "c1"): same(6),
        ("depth", "c2"): same(6),
        ("f", "depth"): spread(6, 4),
    }
    traced = check(model, torch.randn(1, 3, 4, 4), expected)
    names = labels(traced)
    c2 = traced.uses[names.index("c2")]
    weights = c2.weights(model.c2.weight.detach().numpy())
    assert weights.shape == (6, 6, 9) and not weights[:3, 3:].any() and not weights[3:, :3].any()
    assert np.array_equal(weights[4, 3:], model.c2.weight[4].detach().numpy().reshape(3, 9))
    assert kinds(traced, "f", "depth") == ["one-to-one"]
    assert traced.uses[names.index("f")].feeds[0].of_target.tolist() == np.repeat(range(6), 4).tolist()
    # The convolution itself, from the weights and places found, in loops over channels.
    x = torch.randn(1, 6, 4, 4)
    full = torch.tensor(weights).view(6, 6, 3, 3)
    assert torch.allclose(F.conv2d(x, full, model.c2.bias, padding=1), model.c2(x), atol=1e-6)


def test_a_transposed_convolution_with_groups():
    model = Model(lambda s, x: s.o(s.up(s.a(x))), a=nn.Conv1d(2, 6, 1), up=nn.ConvTranspose1d(6, 4, 3, groups=2),
                  o=nn.Conv1d(4, 2, 1))  # fmt: skip
    traced = check(model, torch.randn(1, 2, 5), {("a", "input 0"): same(2), ("up", "a"): same(6), ("o", "up"): same(4)})
    weights = traced.uses[2].weights(model.up.weight.detach().numpy())
    full = torch.tensor(weights).transpose(0, 1)  # (in, out, kernel), without groups
    x = torch.randn(1, 6, 5)
    assert traced.uses[2].transposed and not traced.uses[1].transposed
    assert torch.allclose(F.conv_transpose1d(x, full, model.up.bias), model.up(x), atol=1e-6)


def test_a_unet_with_time():
    def forward(s, x, t):
        time = s.t(torch.cat([torch.sin(t[:, None] * s.rates), torch.cos(t[:, None] * s.rates)], 1))
        a = F.relu(s.d1(x))
        b = F.silu(s.norm(s.d2(a)) + time[:, :, None, None])
        return s.o(torch.cat([s.up(s.mid(b)), a], 1))

    model = Model(forward, d1=nn.Conv2d(3, 8, 3, padding=1), d2=nn.Conv2d(8, 12, 3, stride=2, padding=1),
                  norm=nn.GroupNorm(4, 12), mid=nn.Conv2d(12, 12, 3, padding=1), up=nn.ConvTranspose2d(12, 8, 2, 2),
                  o=nn.Conv2d(16, 3, 3, padding=1), t=nn.Linear(4, 12))  # fmt: skip
    model.register_buffer("rates", torch.tensor([1.0, 0.1]))
    expected = {
        ("d1", "x"): same(3),
        ("d2", "d1"): same(8),
        ("t", "t"): every(4, 1),
        ("mid", "d2"): same(12),
        ("mid", "t'2"): same(12),
        ("up", "mid"): same(12),
        ("o", "up"): part(16, 8),
        ("o", "d1"): part(16, 8, to=8),
    }
    expected[("t'2", "t")] = expected.pop(("t", "t"))
    check(model, dict(x=torch.randn(1, 3, 8, 8), t=torch.tensor([3.0])), expected)


def test_squeeze_and_excitation():
    def forward(s, x):
        x = s.c(x)
        gate = torch.sigmoid(s.up(F.relu(s.down(x.mean((2, 3), keepdim=True)))))
        return s.o(x * gate)

    model = Model(forward, c=nn.Conv2d(3, 6, 3), down=nn.Conv2d(6, 2, 1), up=nn.Conv2d(2, 6, 1), o=nn.Conv2d(6, 2, 1))
    expected = {("c", "input 0"): same(3), ("down", "c"): same(6), ("up", "down"): same(2), ("o", "c"): same(6),
                ("o", "up"): same(6)}  # fmt: skip
    traced = check(model, torch.randn(1, 3, 5, 5), expected)
    assert positions(traced, "down", "c") == {False} and positions(traced, "o", "c") == {True}


def test_pixels_that_are_flattened_are_neurons_each():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    check(model, torch.randn(2, 1, 4, 4), {("1", "input 0"): same(16)})


# --- norms by hand -------------------------------------------------------------------------------------------------


def rms(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def layer(x):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def layer_std(x):
    return (x - x.mean(dim=-1)[..., None]) / (x.std(-1, unbiased=False).unsqueeze(-1) + 1e-5)


def l2(x):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def l2_of_sum(x):
    return x / (x * x).sum(-1, keepdim=True).sqrt()


def moments(x):
    mean, square = x.mean(-1, keepdim=True), x.square().mean(-1, keepdim=True)
    return (x - mean) * (1 / (square - mean**2 + 1e-3).sqrt())


def half(x):
    y = x.double()
    return (y * torch.rsqrt(torch.mean(torch.square(y), dim=-1, keepdim=True))).to(x.dtype)


NORMS = rms, layer, layer_std, l2, l2_of_sum, moments, half, F.normalize, nn.LayerNorm(5), nn.RMSNorm(5)


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_is_held_however_it_is_written(norm):
    model = Model(lambda s, x: s.b(norm(s.a(x))), a=nn.Linear(3, 5), b=nn.Linear(5, 2))
    check(model, torch.ones(4, 3), {("a", "input 0"): same(3), ("b", "a"): same(5)})


def softmax(x):
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def mean_gate(x):
    return x * torch.sigmoid(x.mean(-1, keepdim=True))


def shares(x):
    x = torch.sigmoid(x)
    return x / x.sum(-1, keepdim=True)


def sums(x):
    return x.cumsum(-1).flip(-1).cumsum(-1)


@pytest.mark.parametrize("mixing", [softmax, mean_gate, shares, sums, nn.Softmax(-1)])
def test_what_mixes_channels_is_no_norm(mixing):
    model = Model(lambda s, x: s.b(mixing(s.a(x))), a=nn.Linear(3, 5), b=nn.Linear(5, 2))
    check(model, torch.ones(4, 3), {("a", "input 0"): same(3), ("b", "a"): every(5, 5)})


def test_a_sum_over_channels_reads_them_all():
    model = Model(lambda s, x: s.b(s.a(x).sum(-1, keepdim=True)), a=nn.Linear(3, 9), b=nn.Linear(1, 2))
    traced = check(model, torch.ones(4, 3), {("a", "input 0"): same(3), ("b", "a"): every(1, 9)})
    assert kinds(traced, "b", "a") == ["all-to-all"]


# --- attention -----------------------------------------------------------------------------------------------------


def attention(heads, q, k, v, causal=True):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), float("-inf"))
    return (softmax(scores) @ v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("normed", [False, True])
def test_attention_by_hand_with_norms_of_query_and_key(normed):
    heads, width = 3, 4

    def forward(s, x):
        x = s.e(x)
        q, k, v = s.qkv(x).chunk(3, -1)
        if normed:
            q, k = (rms(part.unflatten(-1, (heads, -1))).flatten(-2) for part in (q, k))
        return s.u(x + s.o(attention(heads, q, k, v)))

    n = heads * width
    model = Model(forward, e=nn.Embedding(11, 10), qkv=nn.Linear(10, 3 * n), o=nn.Linear(n, 10), u=nn.Linear(10, 11))
    model.u.weight = model.e.weight
    expected = {
        ("qkv", "e"): same(10),
        ("o", "qkv"): np.hstack([blocks(heads, width, width)] * 2 + [same(n)]),
        ("e'2", "e"): same(10),
        ("e'2", "o"): same(10),
    }
    traced = check(model, IDS, expected)
    assert kinds(traced, "o", "qkv") == ["groups", "groups", "one-to-one"]
    queries, keys, values = traced.uses[2].feeds
    assert queries.same_position[:n].all() and not keys.same_position.any() and not values.same_position.any()
    assert keys.channels.tolist() == list(range(n, 2 * n)) and queries.channels.tolist() == list(range(n))
    assert values.of_target.tolist() == list(range(2 * n, 3 * n))
    assert queries.to_labels.tolist() == np.repeat(range(heads), width).tolist()
    assert traced.uses[0].transposed and not traced.uses[3].transposed  # one matrix, read by rows and by columns


def test_attention_by_einsum_with_a_matrix_of_three_dimensions():
    def forward(s, x):
        x = s.e(x)
        q, k, v = (torch.einsum("btd,hdk->bhtk", x, w) for w in (s.q, s.k, s.v))
        weights = torch.einsum("bhqk,bhtk->bhqt", q, k).softmax(-1)
        return torch.einsum("bhqt,bhtk,hkd->bqd", weights, v, s.o)

    def matrix(*shape):
        return nn.Parameter(torch.randn(shape))

    model = Model(forward, e=nn.Embedding(9, 5), q=matrix(2, 5, 3), k=matrix(2, 5, 3), v=matrix(2, 5, 3),
                  o=matrix(2, 3, 5))  # fmt: skip
    traced = trace(model, IDS, progress=False)
    uses = {use.name: use for use in traced.uses}
    assert (uses["q"].n_in, uses["q"].n_out) == (5, 6) and (uses["o"].n_in, uses["o"].n_out) == (6, 5)
    assert np.array_equal(uses["q"].weights(model.q.detach().numpy())[:, :, 0],
                          model.q.detach().numpy().transpose(0, 2, 1).reshape(6, 5))  # fmt: skip
    found = joins(traced)
    assert np.array_equal(found["q", "e"], same(5))
    read = {name: found["o", name] for name in ("q", "k", "v")}
    assert np.array_equal(read["v"], same(6))
    assert np.array_equal(read["q"], blocks(2, 3, 3)) and np.array_equal(read["k"], blocks(2, 3, 3))
    assert positions(traced, "o", "q") == {True} and positions(traced, "o", "k") == {False}


@pytest.mark.parametrize("model", ["attention", "encoder", "decoder"])
def test_torchs_own_attention(model):
    n, heads = 12, 3
    mixed = np.hstack([blocks(heads, n // heads, n // heads)] * 2 + [same(n)])
    if model == "attention":
        part_ = nn.MultiheadAttention(n, heads, batch_first=True)
        made = Model(lambda s, x: s.o(s.a(s.e(x), s.e(x), s.e(x))[0]), e=nn.Linear(5, n), a=part_, o=nn.Linear(n, 2))
        made.run = lambda s, x: (lambda y: s.o(s.a(y, y, y)[0]))(s.e(x))
        expected = {("e", "input 0"): same(5), ("a.in_proj_weight", "e"): same(n), ("a.out_proj", "a.in_proj_weight"):
                    mixed, ("o", "a.out_proj"): same(n)}  # fmt: skip
    elif model == "encoder":
        made = nn.TransformerEncoderLayer(n, heads, 7, batch_first=True)
        expected = {("self_attn.in_proj_weight", "input 0"): same(n), ("linear1", "input 0"): same(n),
                    ("self_attn.out_proj", "self_attn.in_proj_weight"): mixed, ("linear2", "linear1"): same(7),
                    ("linear1", "self_attn.out_proj"): same(n)}  # fmt: skip
    else:
        part_ = nn.MultiheadAttention(n, heads, kdim=5, vdim=4, batch_first=True)
        made = Model(lambda s, x, k, v: s.a(x, k, v)[0], a=part_)
        expected = {
            ("a.q_proj_weight", "input 0"): same(n),
            ("a.k_proj_weight", "input 1"): same(5),
            ("a.v_proj_weight", "input 2"): same(4),
            ("a.out_proj", "a.q_proj_weight"): blocks(heads, 4, 4),
            ("a.out_proj", "a.k_proj_weight"): blocks(heads, 4, 4),
            ("a.out_proj", "a.v_proj_weight"): same(n),
        }
    inputs = torch.randn(1, 6, 5 if model == "attention" else n)
    if model == "decoder":
        inputs = inputs, torch.randn(1, 4, 5), torch.randn(1, 4, 4)
    made.train()
    traced = check(made, inputs, expected)
    assert made.training and torch.backends.mha.get_fastpath_enabled()
    if model == "encoder":
        assert not traced.notes


def test_grouped_queries_of_one_fused_matrix():
    """Two query heads share a key and a value head; one value channel serves two channels."""
    width = 5

    def forward(s, x):
        q, k, v = s.qkv(s.e(x)).split([4 * width, 2 * width, 2 * width], -1)
        q, k, v = (y.unflatten(-1, (-1, width)).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return s.o(y.transpose(1, 2).flatten(2))

    model = Model(forward, e=nn.Embedding(9, 6), qkv=nn.Linear(6, 8 * width), o=nn.Linear(4 * width, 6))
    values = np.kron(np.eye(2, dtype=bool), np.vstack([same(width), same(width)])).astype(bool)
    expected = {("qkv", "e"): same(6), ("o", "qkv"): np.hstack([blocks(4, width, width), blocks(2, 2 * width, width),
                                                               values])}  # fmt: skip
    traced = check(model, IDS, expected)
    assert kinds(traced, "o", "qkv") == ["groups", "groups", "one-to-one"]


# --- recurrent -----------------------------------------------------------------------------------------------------


def over_time(gates, n, chosen):
    """Which of the gates, one after another in a fused matrix, reach the n channels."""
    return np.hstack([same(n) if gate in chosen else np.zeros((n, n), bool) for gate in range(gates)])


@pytest.mark.parametrize("cells", [False, True])
def test_an_lstm_fused_or_by_cells(cells):
    def stepwise(s, x):
        x, h = s.e(x), torch.zeros(1, 5)
        c = h
        for step in range(x.shape[1]):
            h, c = s.r(x[:, step], (h, c))
        return s.o(h)

    def fused(s, x):
        return s.o(s.r(s.e(x))[0])

    recurrent = nn.LSTMCell(4, 5) if cells else nn.LSTM(4, 5, batch_first=True)
    model = Model(stepwise if cells else fused, e=nn.Embedding(9, 4), r=recurrent, o=nn.Linear(5, 3))
    traced = trace(model, IDS[:, :3], progress=False)
    found = joins(traced)
    x, h = ("r.weight_ih", "r.weight_hh") if cells else ("r.weight_ih_l0", "r.weight_hh_l0")
    assert np.array_equal(found[x, "e"], same(4)) and (h, x) not in found  # the first step reads zeros
    read = found["o", f"{h}'3"]
    assert np.array_equal(read, over_time(4, 5, {0, 1, 2, 3}))
    if cells:  # the last output: the cell of an earlier step, but not its output gate
        assert np.array_equal(found["o", f"{x}'2"], over_time(4, 5, {0, 1, 2}))
        assert np.array_equal(found["o", f"{h}'2"], over_time(4, 5, {0, 1, 2}))
    assert np.array_equal(found[f"{h}'2", h], over_time(4, 5, {0, 2, 3}))  # nothing to forget yet
    assert not traced.left_out and sum(use.name == h for use in traced.uses) == 3


@pytest.mark.parametrize("made", [
    nn.LSTM(3, 4, 2, bidirectional=True), nn.LSTM(3, 4, proj_size=2, batch_first=True), nn.GRU(3, 4, 2, bias=False),
    nn.GRU(3, 4, bidirectional=True, batch_first=True), nn.RNN(3, 4), nn.RNN(3, 4, nonlinearity="relu"),
], ids=lambda made: str(made))  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_unrolled_layers_compute_what_torch_computes(made, packed):
    from neuromfa_lite.network.trace.recurrent import unroll

    x = torch.randn(5, 3, 3)
    kind = made.mode.lower()
    with torch.no_grad():
        if packed:
            x = nn.utils.rnn.pack_padded_sequence(x, [5, 3, 2], batch_first=False)
        out, last = made(x)
        directions = 2 if made.bidirectional else 1
        batch = 3 if packed or not made.batch_first else 5
        h = torch.zeros(made.num_layers * directions, batch, made.proj_size or 4)
        state = (h, torch.zeros(len(h), batch, 4)) if kind == "lstm" else h
        rest = made._flat_weights, made.bias, made.num_layers, 0.0, False, made.bidirectional
        args = (x.data, x.batch_sizes, state, *rest) if packed else (x, state, *rest, made.batch_first)
        mine = unroll(torch, kind, args)
    last = last if isinstance(last, tuple) else (last,)
    for a, b in zip(mine, (out.data if packed else out, *last), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_gru_and_a_state_space_model():
    model = Model(lambda s, x: s.o(s.r(s.e(x))[1][0]), e=nn.Embedding(9, 4), r=nn.GRU(4, 5), o=nn.Linear(5, 3))
    found = joins(trace(model, IDS[0, :3], progress=False))
    assert np.array_equal(found["o", "r.weight_ih_l0"], over_time(3, 5, {0, 1, 2}))

    def scan(s, x):
        x, gate = s.inward(s.e(x)).chunk(2, -1)
        step = F.softplus(s.step(x))
        b, c = s.bc(x).chunk(2, -1)
        state, out = torch.zeros(1, 6, 2), []
        decay = -torch.exp(s.log)
        for t in range(x.shape[1]):
            wide = step[:, t, :, None]
            state = state * torch.exp(wide * decay) + wide * b[:, t, None] * x[:, t, :, None]
            out.append((state * c[:, t, None]).sum(-1))
        return s.out(torch.stack(out, 1) * F.silu(gate))

    model = Model(scan, e=nn.Embedding(9, 4), inward=nn.Linear(4, 12), step=nn.Linear(6, 6), bc=nn.Linear(6, 4),
                  out=nn.Linear(6, 4), log=nn.Parameter(torch.randn(6, 2)))  # fmt: skip
    expected = {
        ("inward", "e"): same(4),
        ("step", "inward"): part(6, 12),
        ("bc", "inward"): part(6, 12),
        ("out", "inward"): np.hstack([same(6), same(6)]),
        ("out", "step"): same(6),
        ("out", "bc"): every(6, 4),
    }
    traced = check(model, IDS, expected, left_out={"log": "used inside mul"})
    names = labels(traced)
    b, c = traced.uses[names.index("out")].feeds_of(names.index("bc"))
    assert b.channels.tolist() == [0, 1] and not b.same_position.any()  # written at one time, read later
    assert c.channels.tolist() == [2, 3] and c.same_position[2:].all()


# --- experts and cuts ----------------------------------------------------------------------------------------------


def test_experts_by_hand_and_the_router_that_chooses():
    def forward(s, x):
        x = s.e(x)[0]
        shares = s.router(x).softmax(-1)
        share, chosen = shares.topk(2, -1)
        out = torch.zeros_like(x)
        for number in range(3):
            token, place = (chosen == number).nonzero(as_tuple=True)
            inside = F.silu(x[token] @ s.up[number]) @ s.down[number]
            out.index_add_(0, token, inside * share[token, place, None])
        return s.o(out)

    model = Model(forward, e=nn.Embedding(9, 5), router=nn.Linear(5, 3), up=nn.Parameter(torch.randn(3, 5, 7)),
                  down=nn.Parameter(torch.randn(3, 7, 5)), o=nn.Linear(5, 2))  # fmt: skip
    expected = {("router", "e"): same(5), ("o", "router"): every(5, 3)}
    for number in range(3):
        expected |= {(f"up#{number}", "e"): same(5), (f"down#{number}", f"up#{number}"): same(7),
                     ("o", f"down#{number}"): same(5)}  # fmt: skip
    cut = {(f"up#{number}", "router", "topk") for number in range(3)}
    traced = check(model, torch.arange(8)[None], expected, cut=cut)
    assert all(use.transposed for use in traced.uses if use.expert is not None)


def test_what_depends_by_value_alone_is_named():
    def forward(s, x):
        x = s.a(x)
        code = (x @ s.book.T).argmax(-1)
        with torch.no_grad():
            y = s.b(x).tanh()
        return s.c(F.embedding(code, s.book)), s.d(torch.round(x)), s.e(x.detach()), s.f(y)

    model = Model(forward, a=nn.Linear(3, 4), book=nn.Parameter(torch.randn(6, 4)), b=nn.Linear(4, 4),
                  c=nn.Linear(4, 2), d=nn.Linear(4, 2), e=nn.Linear(4, 2), f=nn.Linear(4, 2))  # fmt: skip
    expected = {("a", "input 0"): same(3), ("book", "a"): same(4), ("b", "a"): same(4), ("c", "book'2"): same(4)}
    cut = {("book'2", "book", "argmax"), ("d", "a", "round"), ("e", "a", "detach"), ("f", "b", "no_grad")}
    check(model, torch.randn(2, 3), expected, cut=cut)


def test_what_is_not_understood_is_left_out_with_its_reason():
    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(context, x, weight):
            context.save_for_backward(weight)
            return x @ weight

        @staticmethod
        def backward(context, gradient):
            return gradient @ context.saved_tensors[0].T, None

    def forward(s, x):
        x = s.a(x)
        return s.b(torch.cdist(x, s.far)), s.c(Fused.apply(x, s.inside)), s.d(x + s.place)

    model = Model(forward, a=nn.Linear(3, 4), far=nn.Parameter(torch.randn(5, 4)), b=nn.Linear(5, 2),
                  inside=nn.Parameter(torch.randn(4, 6)), c=nn.Linear(6, 2), place=nn.Parameter(torch.randn(2, 4)),
                  d=nn.Linear(4, 2), never=nn.Linear(2, 2))  # fmt: skip
    reasons = {"far": "used inside cdist", "inside": "used inside Fused", "place": "used inside add",
               "never.weight": "not used with these inputs"}  # fmt: skip
    cut = {("b", "a", "cdist"), ("c", "a", "Fused")}
    check(model, torch.randn(2, 3), {("a", "input 0"): same(3), ("d", "a"): same(4)}, left_out=reasons, cut=cut)


# --- and others ---------------------------------------------------------------------------------------------------


def weight(*shape):
    return nn.Parameter(torch.randn(shape))


def latents(s, x):
    return s.o((s.q(s.latents) @ s.k(x).transpose(-1, -2)).softmax(-1) @ s.v(x))


def neighbours(s, x):
    h = s.w(x).view(-1, 2, 3)
    scores = torch.einsum("nhd,hd->nh", h, s.left)[:, None] + torch.einsum("nhd,hd->nh", h, s.right)[None]
    shares = F.leaky_relu(scores).softmax(1)
    return s.o(torch.einsum("nmh,mhd->nhd", shares, h).flatten(1))


def response(s, x):
    x = s.a(x)
    size = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
    return s.o(x * (size / (size.mean(-1, keepdim=True) + 1e-6)) + x)


def shifted(s, x):
    x = s.a(x)
    return s.o(x * s.mix + F.pad(x, (0, 0, 1, 0))[:, :-1] * (1 - s.mix))


def codes(s, x):
    x = s.a(x)
    return s.o(x + (F.embedding(torch.cdist(x, s.book).argmin(-1), s.book) - x).detach())


def two_experts(s, x):
    shares = s.router(x).softmax(-1)
    return s.o((torch.einsum("bti,eio->bteo", s.a(x), s.up) * shares[..., None]).sum(2))


def modulated(s, x):
    return s.o(s.i(x) * s.scale(x.mean(1))[:, None])


DROPS_IN = {("a", "input 0"): same(3)}
OTHERS = {
    "a low rank beside a matrix": (
        lambda s, x: s.o(s.w(x) + s.b(s.a(x)) * 0.5),
        dict(w=nn.Linear(3, 4), a=nn.Linear(3, 2), b=nn.Linear(2, 4)), (2, 3),
        {("w", "input 0"): same(3), **DROPS_IN, ("b", "a"): same(2), ("o", "w"): same(4), ("o", "b"): same(4)}, {}),
    "a tied autoencoder": (
        lambda s, x: s.o(F.linear(F.linear(x, s.w).tanh(), s.w.t())), dict(w=weight(2, 4)), (2, 4),
        {("w", "input 0"): same(4), ("w'2", "w"): same(2), ("o", "w'2"): same(4)}, {}),
    "sub-pixels": (
        lambda s, x: s.o(F.pixel_shuffle(s.a(x), 2).movedim(1, -1)), dict(a=nn.Conv2d(3, 16, 1)), (1, 3, 4, 4),
        {**DROPS_IN, ("o", "a"): blocks(4, 1, 4)}, {}),
    "latents that ask": (
        latents, dict(latents=weight(3, 6), q=nn.Linear(6, 4), k=nn.Linear(5, 4), v=nn.Linear(5, 4)), (1, 7, 5),
        {("k", "input 0"): same(5), ("v", "input 0"): same(5), ("o", "q"): every(4, 4), ("o", "k"): every(4, 4),
         ("o", "v"): same(4)}, {"latents": "used inside linear"}),
    "attention over a graph": (
        neighbours, dict(w=nn.Linear(3, 6), left=weight(2, 3), right=weight(2, 3), o=nn.Linear(6, 2)), (5, 3),
        {("w", "input 0"): same(3), **{(f"{way}{n}", "w"): part(3, 6, since=3 * at) for way in ("left", "right")
         for at, n in ((0, ""), (1, "'2"))}, ("o", "w"): same(6),
         **{("o", f"{way}{n}"): np.repeat([[at == 0], [at == 1]], 3, 0) for way in ("left", "right")
            for at, n in ((0, ""), (1, "'2"))}}, {}),
    "a norm over places and channels": (
        response, dict(a=nn.Linear(3, 4)), (1, 5, 5, 3), {**DROPS_IN, ("o", "a"): same(4)}, {}),
    "a shift in time": (
        shifted, dict(a=nn.Linear(3, 4), mix=weight(4)), (1, 5, 3), {**DROPS_IN, ("o", "a"): same(4)}, {}),
    "a codebook with a straight gradient": (
        codes, dict(a=nn.Linear(3, 4), book=weight(6, 4)), (2, 3), {**DROPS_IN, ("o", "a"): same(4)}, {}),
    "soft experts of one tensor": (
        two_experts, dict(a=nn.Linear(3, 3), up=weight(2, 3, 4), router=nn.Linear(3, 2)), (1, 5, 3),
        {**DROPS_IN, ("router", "input 0"): same(3), ("up", "a"): same(3), ("o", "up"): np.hstack([same(4), same(4)]),
         ("o", "router"): every(4, 2)}, {}),
    "heads with a matrix each": (
        lambda s, x: s.o(torch.bmm(s.a(x).view(-1, 2, 3).transpose(0, 1), s.w).sum(0)),
        dict(a=nn.Linear(3, 6), w=weight(2, 3, 4)), (7, 3),
        {**DROPS_IN, ("w#0", "a"): part(3, 6), ("w#1", "a"): part(3, 6, since=3), ("o", "w#0"): same(4),
         ("o", "w#1"): same(4)}, {}),
    "scales made of a mean": (
        modulated, dict(i=nn.Linear(3, 4), scale=nn.Linear(3, 4)), (2, 5, 3),
        {("i", "input 0"): same(3), ("scale", "input 0"): same(3), ("o", "i"): same(4), ("o", "scale"): same(4)}, {}),
    "waves": (
        lambda s, x: s.o(torch.fft.fft2(s.a(x)).real), dict(a=nn.Linear(3, 4)), (1, 5, 3),
        {**DROPS_IN, ("o", "a"): every(4, 4)}, {}),
    "splines": (
        lambda s, x: torch.einsum("big,oig->bo", torch.exp(-((x[..., None] - torch.arange(4.0)) ** 2)), s.w),
        dict(w=weight(5, 3, 4)), (2, 3), {("w", "input 0"): spread(3, 4)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_models_of_other_kinds(name):
    forward, modules, shape, expected, left_out = OTHERS[name]
    modules = {"o": nn.Linear(4, 2)} | modules
    if name == "splines":
        del modules["o"]
    check(Model(forward, **modules), torch.randn(shape), expected, left_out=left_out)


def test_an_embedding_written_by_hand_in_three_ways():
    ids = torch.tensor([[1, 2, 3]])
    ways = (lambda s, x: s.e[x], lambda s, x: F.one_hot(x, 9).float() @ s.e, lambda s, x: s.e.index_select(0, x[0]),
            lambda s, x: F.embedding_bag(x, s.e))  # fmt: skip
    for way in ways:
        model = Model(lambda s, x, way=way: s.o(way(s, x)), e=weight(9, 4), o=nn.Linear(4, 2))
        traced = check(model, ids, {("o", "e"): same(4)})
        assert (traced.uses[0].n_in, traced.uses[0].n_out, traced.uses[0].transposed) == (9, 4, True)


# --- weights that are computed -------------------------------------------------------------------------------------


def test_weights_that_are_masked_normed_joined_or_sliced():
    def forward(s, x):
        x = F.linear(s.a(x), torch.cat([s.b.weight, s.c.weight]))  # two matrices side by side
        return s.e(F.linear(F.linear(x[:, :2], s.d.weight[1:3, ::2].T), s.masked * s.mask))

    a = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    e = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 2))
    model = Model(forward, a=a, b=nn.Linear(4, 3), c=nn.Linear(4, 5), d=nn.Linear(6, 4), e=e,
                  masked=nn.Parameter(torch.randn(5, 3)))  # fmt: skip
    model.register_buffer("mask", torch.ones(5, 3).tril())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    traced = trace(model, torch.randn(2, 3), progress=False)
    uses = {use.name: use for use in traced.uses}
    found = joins(traced)
    assert list(uses) == ["input 0", "a.parametrizations.weight.original1", "b.weight", "c.weight", "d.weight",
                          "masked", "e.parametrizations.weight.original"]  # fmt: skip
    assert np.allclose(uses["a.parametrizations.weight.original1"].values[:, :, 0], a.weight.detach())
    assert np.allclose(uses["masked"].values[:, :, 0], (model.masked * model.mask).detach())
    assert np.array_equal(uses["d.weight"].weights(model.d.weight.detach().numpy())[:, :, 0],
                          model.d.weight.detach().numpy()[1:3, ::2].T)  # fmt: skip
    assert np.array_equal(found["d", "b"], part(2, 3)) and ("d", "c") not in found
    reason = "used inside the parametrization of weight"
    assert traced.left_out == (("a.parametrizations.weight.original0", (4, 1), reason),)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


# --- the model stays as it was -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(fails):
    def forward(s, x):
        s.seen = s.a(x)
        s.count += 1
        s.norm.running_mean.mul_(2)
        if fails:
            raise RuntimeError("not this time")
        return s.b(s.drop(F.relu(s.norm(s.seen))))

    model = Model(forward, a=nn.Linear(3, 4), b=nn.Linear(4, 2), norm=nn.BatchNorm1d(4), drop=nn.Dropout(0.5))
    model.register_buffer("count", torch.zeros(1))
    model.a.weight.requires_grad_(False)
    model.b.weight.grad = torch.ones(2, 4)
    model.norm.eval()
    model.train()
    model.drop.eval()
    calls = []
    model.a.register_forward_hook(lambda *_: calls.append(1))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    buffers = [id(buffer) for buffer in model.buffers()]
    random = torch.random.get_rng_state()
    if fails:
        with pytest.raises(SourceError, match="not this time"):
            trace(model, torch.ones(2, 3), progress=False)
    else:
        trace(model, torch.ones(2, 3), progress=False)
    assert calls and not hasattr(model, "seen") and torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [id(buffer) for buffer in model.buffers()] == buffers
    assert model.training and model.norm.training and not model.drop.training
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]
    assert torch.equal(model.b.weight.grad, torch.ones(2, 4)) and model.a.weight.grad is None
    assert not torch.overrides._get_current_function_mode_stack()


def test_half_precision_and_double_and_no_grad_around():
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).to(dtype)
        with torch.no_grad():
            traced = check(model, torch.ones(2, 3, dtype=dtype), {("0", "input 0"): same(3), ("2", "0"): same(4)})
        assert model[0].weight.dtype is dtype and len(traced.uses) == 3


def test_prefixes_of_wrappers():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    names = ["input 0", "0.weight", "2.weight"]
    wrapped = torch.compile(model)
    assert [use.name for use in trace(wrapped, torch.ones(1, 3), progress=False).uses] == names
    assert [use.name for use in trace(nn.DataParallel(model), torch.ones(1, 3), progress=False).uses] == names
    model[0] = torch.compile(model[0])
    assert [use.name for use in trace(model, torch.ones(1, 3), progress=False).uses] == names


# --- refusals ------------------------------------------------------------------------------------------------------


def test_refusals_say_what_was_found():
    linear = nn.Linear(3, 2)
    two = Model(lambda s, x, y: s.a(x) + y, a=nn.Linear(3, 2))
    quantised = nn.Linear(3, 2)
    quantised.weight = nn.Parameter(torch.ones(2, 3, dtype=torch.int8), requires_grad=False)
    small = nn.Linear(3, 2)
    small.weight = nn.Parameter(torch.ones(2, 3).to(torch.float8_e4m3fn), requires_grad=False)
    for model, inputs, words in [
        (linear, torch.ones(1, 4), "does not run on these inputs"),
        (two, torch.ones(1, 3), "does not run on these inputs.*missing 1 required"),
        (linear, {"wrong": torch.ones(1, 3)}, "wrong"),
        (nn.Linear(3, 2, device="meta"), torch.ones(1, 3), "meta device"),
        (quantised, torch.ones(1, 3), "quantised"),
        (small, torch.ones(1, 3), "quantised"),
        (torch.jit.script(linear), torch.ones(1, 3), "TorchScript"),
        (nn.LazyLinear(3), torch.ones(1, 3), "no shape yet"),
        (nn.LayerNorm(3), torch.ones(1, 3), "no weight matrix"),
        (Model(lambda s, x: x + 1, a=nn.Linear(3, 2)), torch.ones(1, 3), "no product"),
        ("linear", torch.ones(1, 3), "torch.nn.Module"),
    ]:
        with pytest.raises(SourceError, match=words):
            trace(model, inputs, progress=False)


def test_chance_is_named_and_refused_where_it_changes_the_wiring():
    steady = Model(lambda s, x: s.b(s.a(x) + torch.randn(4)), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    traced = check(steady, torch.ones(2, 3), {("a", "input 0"): same(3), ("b", "a"): same(4)})
    assert any("chance" in note for note in traced.notes)
    moody = Model(lambda s, x: s.b(s.a(x)[:, torch.randperm(9)]), a=nn.Linear(3, 9), b=nn.Linear(9, 2))
    with pytest.raises(SourceError, match="chance"):
        trace(moody, torch.ones(2, 3), progress=False)
    dropped = Model(lambda s, x: s.b(F.dropout(s.a(x), 0.9)), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    traced = check(dropped, torch.ones(2, 3), {("a", "input 0"): same(3), ("b", "a"): same(4)})
    assert any("dropout" in note for note in traced.notes)


def test_a_model_that_bears_only_its_own_numbers():
    def forward(s, x):
        y = s.a(x)
        if not torch.allclose(y, s.known):
            raise ValueError("not my numbers")
        return s.c(s.b(y.T[None])[0].T)

    model = Model(forward, a=nn.Linear(3, 4), b=nn.Conv1d(4, 6, 1), c=nn.Linear(6, 2))
    expected = {("a", "input 0"): same(3), ("b", "a"): same(4), ("c", "b"): same(6)}
    x = torch.randn(2, 3)
    model.known = model.a(x).detach()
    traced = check(model, x, expected)
    assert "its own numbers" in traced.notes[0] and "not my numbers" in traced.notes[0]


def test_a_model_that_changes_in_place_what_its_gradient_needs():
    def forward(s, x):
        x = s.a(x)
        y = x * x
        x.add_(1)
        return s.b(y + x)

    model = Model(forward, a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    check(model, torch.ones(2, 3), {("a", "input 0"): same(3), ("b", "a"): same(4)})


def test_a_function_that_hides_the_modules_it_runs():
    class Hiding(torch.autograd.Function):
        @staticmethod
        def forward(context, x, module):
            return module(x)

        @staticmethod
        def backward(context, gradient):
            return gradient, None

    model = Model(lambda s, x: s.b(Hiding.apply(s.a(x), s.h)), a=nn.Linear(3, 4), h=nn.Linear(4, 4), b=nn.Linear(4, 2))
    reasons, cut = {"h.weight": "used inside Hiding"}, {("b", "a", "Hiding")}
    check(model, torch.ones(2, 3), {("a", "input 0"): same(3)}, left_out=reasons, cut=cut)


@pytest.mark.parametrize("transposed", [False, True])
def test_normed_weights_of_a_convolution_with_groups(transposed):
    kind = nn.ConvTranspose1d if transposed else nn.Conv1d
    normed = nn.utils.parametrizations.weight_norm(kind(6, 4, 3, groups=2), dim=2)
    traced = trace(normed, torch.randn(1, 6, 9), progress=False)
    full, x = torch.tensor(traced.uses[1].values), torch.randn(1, 6, 9)
    apply = F.conv_transpose1d if transposed else F.conv1d
    assert torch.allclose(apply(x, full.transpose(0, 1) if transposed else full, normed.bias), normed(x), atol=1e-6)


def test_one_token_is_said_to_be_too_few():
    model = nn.TransformerEncoderLayer(6, 2, 4, batch_first=True)
    assert "one place" in trace(model, torch.randn(1, 1, 6), progress=False).notes[0]
    assert not trace(model, torch.randn(1, 3, 6), progress=False).notes
