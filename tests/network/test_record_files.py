"""Records in files: written from a trace of one model they open another of other sizes; wrong ones are found out."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite import load_network
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.network import ARCHITECTURES, Architecture, check_architecture, record_of, register_architecture
from neuromfa_lite.network.architectures import rules
from neuromfa_lite.network.architectures.file import architecture_of, read_architecture
from neuromfa_lite.network.feeders import feeders
from neuromfa_lite.weights import open_source

torch = pytest.importorskip("torch")
T = pytest.importorskip("transformers")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads that share small products wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class MLP(nn.Module):
    """Blocks with a residual stream."""

    def __init__(self, width, middle, blocks):
        super().__init__()
        self.first = nn.Linear(5, width)
        self.up = nn.ModuleList(nn.Linear(width, middle) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(middle, width) for _ in range(blocks))
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        x = self.first(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(torch.relu(up(x)))
        return self.last(x)


class CNN(nn.Module):
    """Groups of channels, pixels that are flattened."""

    def __init__(self, wide, middle):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2, wide, 3), nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, 2 * wide, 3, groups=wide)
        )
        self.middle, self.last = nn.Linear(2 * wide * 16, middle), nn.Linear(middle, 3)

    def forward(self, x):
        return self.last(torch.relu(self.middle(self.features(x).flatten(1))))


class UNet(nn.Module):
    """Channels laid end to end, a transposed convolution, a time."""

    def __init__(self, wide, deep):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, wide, 3, padding=1), nn.Conv2d(wide, deep, 3, padding=1, stride=2)
        self.time, self.middle = nn.Linear(4, deep), nn.Conv2d(deep, deep, 3, padding=1)
        self.up = nn.ConvTranspose2d(deep, wide + 1, 2, stride=2)
        self.out = nn.Conv2d(2 * wide + 1, 2, 1)

    def forward(self, x, t):
        a = torch.relu(self.down1(x))
        b = torch.relu(self.middle(torch.relu(self.down2(a) + self.time(t)[:, :, None, None])))
        return self.out(torch.cat([self.up(b), a], 1))


class Experts(nn.Module):
    """Gate and input of each expert one beside another, row by row, stacked as (expert, sources, targets)."""

    def __init__(self, width, middle, experts, blocks=3):
        super().__init__()
        self.blocks = nn.ModuleList()
        for _ in range(blocks):
            block = nn.Module()
            block.gate_up = nn.Parameter(torch.randn(experts, width, 2 * middle))
            block.down = nn.Parameter(torch.randn(experts, middle, width))
            block.router = nn.Linear(width, experts)
            self.blocks.append(block)

    def forward(self, x):
        for block in self.blocks:
            weights = block.router(x).softmax(-1)
            both = [x @ each for each in block.gate_up]
            found = [
                (F.silu(each[..., ::2]) * each[..., 1::2]) @ down for each, down in zip(both, block.down, strict=True)
            ]
            x = x + sum(weights[..., n : n + 1] * each for n, each in enumerate(found))
        return x


GPT2 = {"n_embd": 60, "n_head": 3, "n_layer": 3, "n_inner": 52, "n_positions": 16, "vocab_size": 50}
LLAMA = {"hidden_size": 60, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2}
LLAMA |= {"intermediate_size": 52, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MIXTRAL = LLAMA | {"hidden_size": 24, "intermediate_size": 10, "num_local_experts": 3, "num_experts_per_tok": 2}
OTHER = {"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4}
T5 = {"d_model": 60, "d_kv": 8, "d_ff": 52, "num_heads": 6, "num_layers": 3, "num_decoder_layers": 3, "vocab_size": 50}
FALCON = {"hidden_size": 60, "num_attention_heads": 6, "num_kv_heads": 2, "num_hidden_layers": 3}
FALCON |= {"ffn_hidden_size": 52, "vocab_size": 50, "new_decoder_architecture": True}


def of(kind, sizes):
    return lambda: kind(kind.config_class(**sizes))


# {family: (a model, one of other sizes, inputs)}
CASES = {
    "mlp": (lambda: MLP(7, 11, 3), lambda: MLP(9, 6, 5), lambda: torch.randn(2, 5)),
    "cnn": (lambda: CNN(3, 7), lambda: CNN(5, 9), lambda: torch.randn(1, 2, 8, 8)),
    "unet": (lambda: UNet(4, 7), lambda: UNet(6, 9), lambda: (torch.randn(1, 3, 8, 8), torch.randn(1, 4))),
    "experts": (lambda: Experts(6, 5, 3), lambda: Experts(8, 4, 4, 4), lambda: torch.randn(1, 4, 6)),
    "gpt2": (
        of(T.GPT2LMHeadModel, GPT2),
        of(T.GPT2LMHeadModel, GPT2 | {"n_embd": 40, "n_head": 4, "n_layer": 4, "n_inner": 46}),
        lambda: torch.randint(0, 50, (1, 6)),
    ),
    "llama": (
        of(T.LlamaForCausalLM, LLAMA),
        of(T.LlamaForCausalLM, LLAMA | OTHER | {"hidden_size": 96, "head_dim": 10}),
        lambda: torch.randint(0, 50, (1, 6)),
    ),
    "falcon": (
        of(T.FalconForCausalLM, FALCON),
        of(T.FalconForCausalLM, FALCON | {"hidden_size": 96, "num_attention_heads": 8, "num_hidden_layers": 4}),
        lambda: torch.randint(0, 50, (1, 6)),
    ),
    "mixtral": (
        of(T.MixtralForCausalLM, MIXTRAL),
        of(T.MixtralForCausalLM, MIXTRAL | OTHER | {"hidden_size": 32, "num_local_experts": 4}),
        lambda: torch.randint(0, 50, (2, 20)),
    ),
    "t5": (
        of(T.T5ForConditionalGeneration, T5),
        of(T.T5ForConditionalGeneration, T5 | {"num_heads": 4, "num_layers": 4, "num_decoder_layers": 5}),
        lambda: {"input_ids": torch.randint(0, 50, (1, 6)), "decoder_input_ids": torch.randint(0, 50, (1, 5))},
    ),
}
every_case = pytest.mark.parametrize("case", CASES)
_MADE = {}


def made(case):
    """(model, other model, inputs, text of the record of the first), made once."""
    if case not in _MADE:
        torch.manual_seed(3)
        model, other, inputs = (make() for make in CASES[case])
        if case == "experts":
            inputs = {id(each): torch.randn(1, 4, len(each.blocks[0].down[0][0])) for each in (model, other)}
        else:
            inputs = dict.fromkeys((id(model), id(other)), inputs)
        model, other = model.eval(), other.eval()
        _MADE[case] = model, other, inputs, record_of(model, inputs[id(model)])
    return _MADE[case]


def written(text, folder):
    path = folder / "record.toml"
    path.write_text(text)
    return path


def checked(text, case, folder, model=None):
    model = made(case)[0] if model is None else model
    return check_architecture(written(text, folder), model, made(case)[2][id(model)])


# --- from one model to another ------------------------------------------------------------------------------------


@every_case
def test_a_record_opens_a_saved_model_of_other_sizes(case, tmp_path):
    _, other, inputs, text = made(case)
    path = written(text, tmp_path)
    if hasattr(other, "save_pretrained"):
        other.save_pretrained(tmp_path / "model")
    else:  # no config.json: the record needs none
        (tmp_path / "model").mkdir()
        save_file(other.state_dict(), tmp_path / "model" / "model.safetensors")
    network = load_network(tmp_path / "model", architecture=path)
    assert network.wiring == "dataflow"
    table = check_architecture(path, other, inputs[id(other)])
    assert table["agrees"].all(), table.loc[~table["agrees"], ["matrix", "difference"]].to_string()
    traced = load_network(other, inputs=inputs[id(other)])
    assert len(network.layers) == len(traced.layers)
    assert network.connections == traced.connections
    assert sorted(len(layer) for layer in network.layers) == sorted(len(layer) for layer in traced.layers)
    assert len({layer.group for layer in network.layers}) == len({layer.group for layer in traced.layers})
    assert not any("no join of" in reason for _, _, reason in network.left_out)


@every_case
def test_blocks_are_written_once_and_numbers_of_heads_by_their_keys(case):
    text = made(case)[3]
    text = text.replace("layer.1.", "layer.cross.")  # of T5's decoder, no block
    assert not [line for line in text.splitlines() if ".1." in line and not line.startswith("#")]
    if case in ("gpt2", "llama", "mixtral", "falcon", "t5"):
        assert "heads" in text.split("[[joins]]", 1)[1] or "n_head" in text
    assert "into" not in text and "such entries fit" not in text and "as in this model" not in text


def test_a_record_is_the_same_network_as_the_familys_own_record():
    """No code is shared between the two but the reading of files."""
    for case, needed in (("gpt2", 12), ("llama", 21)):
        model, _, _, text = made(case)
        own = load_network(model, wiring="dataflow")
        mine = load_network(open_source(model), architecture=architecture_of(text))
        found = [feeders(each.layers, each.blocks) for each in (own, mine)]
        assert found[0].keys() == found[1].keys() and len(found[0]) >= needed
        for name in found[0]:
            for writer in found[0][name]:
                np.testing.assert_array_equal(found[0][name][writer], found[1][name][writer])


def test_a_known_family_agrees_with_the_trace():
    for case in ("gpt2", "llama", "mixtral", "t5"):
        model, _, inputs, _ = made(case)
        table = check_architecture(case, model, inputs[id(model)])
        assert table["agrees"].all(), table.loc[~table["agrees"]].to_string()


def test_a_file_and_its_path_are_returned_and_says_what_it_was_made_of(tmp_path):
    model, _, inputs, text = made("gpt2")
    path = record_of(model, inputs[id(model)], tmp_path / "mine.toml", model_type="mine")
    lines = path.read_text().splitlines()
    assert path == tmp_path / "mine.toml" and 'model_type = "mine"' in lines
    assert "GPT2LMHeadModel" in lines[0] and "n_head = 3" in lines[0]
    assert f"torch {torch.__version__.split('+')[0]}, transformers {T.__version__}, 20" in lines[1]
    assert text.splitlines()[4:] == lines[4:]


def test_a_wrapped_model_is_the_model_inside():
    model, _, inputs, text = made("llama")
    wrapped = nn.DataParallel(model)
    assert record_of(wrapped, inputs[id(model)]).splitlines()[2:] == text.splitlines()[2:]
    network = load_network(wrapped, architecture=architecture_of(text))
    assert network.connections == load_network(model, architecture=architecture_of(text)).connections


def test_names_are_those_on_disk():
    text = made("mixtral")[3]
    assert "transformers has others in memory" in text
    assert 'matrix = "layers.{b}.block_sparse_moe.experts.{c}.w1.weight"' in text and "gate_up_proj" not in text


class Heads(nn.Module):
    """Attention of a number of heads that no configuration tells."""

    def __init__(self, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(12, 36), nn.Linear(12, 5)

    def forward(self, x):
        q, k, v = (each.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        return self.out((q @ k.mT).softmax(-1).matmul(v).transpose(1, 2).flatten(2))


def test_what_one_model_cannot_tell_is_said():
    torch.manual_seed(0)
    assert "3 groups, as in this model" in record_of(Heads(3), torch.randn(1, 5, 12))
    small = T.LlamaConfig(**LLAMA | {"num_key_value_heads": 6, "num_hidden_layers": 1})
    text = record_of(T.LlamaForCausalLM(small), torch.randint(0, 50, (1, 6)))
    assert "layers.0. is one block" in text
    assert "num_attention_heads and num_key_value_heads are both 6: which of them is meant is a guess" in text
    assert "seen twice only" in record_of(MLP(7, 11, 2), torch.randn(2, 5))
    assert "seen twice only" not in made("mlp")[3]


@pytest.mark.parametrize(
    "layers",
    [
        [nn.ConvTranspose1d(4, 6, 2, groups=2), nn.ReLU(), nn.Conv1d(6, 8, 2, groups=2), nn.Conv1d(8, 3, 1)],
        [nn.Conv1d(4, 4, 2, groups=4), nn.Conv1d(4, 6, 1), nn.ConvTranspose1d(6, 6, 3, groups=3), nn.Conv1d(6, 3, 1)],
    ],
)
def test_kernels_in_groups_turned_or_not(layers, tmp_path):
    """Squares tell nothing of which way a kernel lies: the weights do."""
    model, inputs = nn.Sequential(*layers), torch.randn(1, 4, 6)
    text = record_of(model, inputs)
    assert text.count("transposed = true") == 1
    other = written(text.replace("transposed = true\n", ""), tmp_path)
    if isinstance(layers[0], nn.ConvTranspose1d):  # its shape tells
        with pytest.raises(SourceError, match="4 neurons by the rows"):
            check_architecture(other, model, inputs)
    else:
        table = check_architecture(other, model, inputs)
        assert table["difference"].str.contains("the other way round").tolist() == [False, False, True, False, False]


class Split(nn.Module):
    """Channels of one kernel that go two ways."""

    def __init__(self, turned, first=4, second=5):
        super().__init__()
        kind = nn.ConvTranspose2d if turned else nn.Conv2d
        self.first, self.both = first, kind(3, first + second, 3)
        self.one, self.two = nn.Conv2d(first, 2, 1), nn.Conv2d(second, 2, 1)

    def forward(self, x):
        x = self.both(x)
        return self.one(x[:, : self.first]) + self.two(x[:, self.first :])


@pytest.mark.parametrize("turned", [False, True])
def test_channels_of_one_kernel_that_go_two_ways(turned, tmp_path):
    torch.manual_seed(0)
    inputs = torch.randn(1, 3, 6, 6)
    path = written(record_of(Split(turned), inputs), tmp_path)
    assert path.read_text().count("rows = ") == 2 and "size('both part 1')" in path.read_text()
    assert check_architecture(path, Split(turned, 7, 3), inputs)["agrees"].all()


def test_what_no_record_says_is_refused():
    class Slices(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x):
            x = self.a(x)
            return F.linear(x[..., :3], self.b.weight[:, 3:]) + F.linear(x[..., 3:], self.b.weight[:, :3])

    torch.manual_seed(0)
    with pytest.raises(SourceError, match=r"b\.weight.*no record can say.*load_network\(model, inputs"):
        record_of(Slices(), torch.randn(2, 6))
    with pytest.raises(SourceError, match="no matrix inside"):
        record_of(nn.Embedding(5, 3), torch.tensor([[1, 2, 3]]))


# --- registered, opened, measured -----------------------------------------------------------------------------------


def test_a_registered_file_opens_by_model_type_and_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("neuromfa_lite.network.architectures.record.ARCHITECTURES", ARCHITECTURES)
    model, _, inputs, _ = made("llama")
    path = record_of(model, inputs[id(model)], tmp_path / "mine.toml", model_type="my-llama")
    try:
        assert register_architecture(path) is ARCHITECTURES["my-llama"]
        config = model.config.to_dict() | {"model_type": "my-llama"}
        network = load_network(model, config=config)
        assert network.wiring == "dataflow" and set(network.describe()["why"].str.contains("by dataflow")) == {
            True,
            False,
        }
        with pytest.raises(SourceError, match=r'published chain.*wiring="dataflow"'):
            load_network(model, config=config, wiring="chain")
    finally:
        ARCHITECTURES.pop("my-llama", None)
    method = nmfa.SCALE_FREE.replace(wiring=None)
    sample = load_network(model, architecture=path).sample(8)
    assert nmfa.analyze(sample, method).neurons_used > 0
    with pytest.raises(NeuroMFAError, match="give one of them"):
        load_network(model, inputs=inputs[id(model)], architecture=path)
    with pytest.raises(SourceError, match="path of a record"):
        register_architecture(7)
    with pytest.raises(SourceError, match="path of a record"):
        check_architecture(None, model, inputs[id(model)])


def test_the_command_line_takes_a_file(tmp_path):
    from click.testing import CliRunner

    from neuromfa_lite.cli.commands import main

    _, other, _, text = made("llama")
    other.save_pretrained(tmp_path / "model")
    arguments = [str(tmp_path / "model"), "--architecture", str(written(text, tmp_path)), "--json"]
    done = CliRunner().invoke(main, ["describe", *arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["matrices"][0]["source"] == "before layers.0.self_attn.q_proj"
    done = CliRunner().invoke(main, ["analyze", *arguments, "--neurons-per-layer", "8", "--method", "scale-free"])
    assert done.exit_code == 0 and json.loads(done.stdout)["alpha0"] > 0, done.output
    done = CliRunner().invoke(main, ["describe", str(tmp_path / "model"), "--architecture", "nowhere.toml"])
    assert done.exit_code == 1 and "nowhere.toml is missing" in done.output


# --- wrong records --------------------------------------------------------------------------------------------------


def without(text, *lines):
    """The text without the join that has all of these lines."""
    first, *joins = text.split("[[joins]]")
    kept = [join for join in joins if not all(line in join for line in lines)]
    assert len(kept) == len(joins) - 1
    return "[[joins]]".join([first, *kept])


def replaced(text, before, after):
    assert before in text
    return text.replace(before, after)


def shifted(text, role, by):
    """An Architecture of the text whose joins of a kind of layer are shifted by some neurons of attention."""
    right = architecture_of(text)

    def dataflow(known):
        layers, joins = right.dataflow(known)
        roles = {layer.name: layer.role for layer in layers}
        joins = [
            dataclasses.replace(join, labels=(np.roll(join.labels[0], by), join.labels[1]))
            if join.labels is not None and roles[join.source] == role
            else join
            for join in joins
        ]
        return layers, joins

    return dataclasses.replace(right, dataflow=dataflow)


@pytest.mark.parametrize(("role", "by"), [("query", 10), ("key", 10), ("value", 10)])
def test_a_head_that_is_shifted_is_found(role, by):
    model, _, inputs, text = made("llama")
    table = check_architecture(shifted(text, role, by), model, inputs[id(model)])
    wrong = table[~table["agrees"]]
    assert set(wrong["matrix"]) == {f"model.layers.{n}.self_attn.o_proj.weight" for n in range(3)}
    assert wrong["difference"].str.contains(rf"is fed by rows? .*self_attn\.{role[0]}_proj.*by the record, row").all()


WRONG = {
    "key and value exchanged": (
        "gpt2",
        lambda text: replaced(
            replaced(replaced(text, "from = 1, to = 2", "from = X, to = Y"), "from = 2, to = 3", "from = 1, to = 2"),
            "from = X, to = Y",
            "from = 2, to = 3",
        ),
        r"attn\.c_proj",
        "rows 0 to 19, 60, 120 to 139 of .* by the record, rows 0 to 19, 60 to 79, 120 by the trace",
    ),
    "a square matrix the other way round": (
        "gpt2",
        lambda text: replaced(
            text, 'attn.c_proj.weight"\ntransposed = true', 'attn.c_proj.weight"\ntransposed = false'
        ),
        r"attn\.c_proj",
        "stored the other way round",
    ),
    "gate and input by halves where they alternate": (
        "experts",
        lambda text: replaced(
            replaced(text, "of = 2, from = 0, to = 1", "of = 2, from = 0, to = 1").replace(
                "groups = \"size('blocks.{b}.gate_up[{c}]')\", ", ""
            ),
            "of = 2",
            "of = 2",
        ),
        r"down\[",
        "its input 0 is fed by rows 0, 5 of .*by the record, rows 0 to 1 by the trace",
    ),
    "another expert's": (
        "mixtral",
        lambda text: replaced(text, "experts.{c}.w1.weight", "experts.0.w1.weight"),
        r"experts\.1\.w",
        "the trace alone uses it|feeds it by the",
    ),
    "no residual": (
        "llama",
        lambda text: without(text, 'role = "residual"', 'target = "before layers.{b}.mlp.gate_proj"'),
        r"mlp\.gate_proj",
        "feeds it by the trace alone",
    ),
    "no residual at the end": (
        "llama",
        lambda text: without(text, 'role = "residual"', 'target = "output"'),
        "end: output",
        "feeds it by the trace alone",
    ),
    "channels laid the other way round": (
        "unet",
        lambda text: replaced(
            replaced(text, "targets = {from = \"size('up')\", to = \"size('up') + size('down1')\"}", "targets = {A}"),
            "targets = {to = \"size('up')\"}",
            "targets = {from = \"size('down1')\"}",
        ).replace("targets = {A}", "targets = {to = \"size('down1')\"}"),
        r"out\.weight",
        "its input 0 is fed by row 0 of down1.weight by the record, no row by the trace",
    ),
    "queries that read another layer": (
        "llama",
        lambda text: replaced(
            text,
            'source = "before layers.{b}.self_attn.q_proj"\ntarget = "layers.{b}.self_attn.q_proj"',
            'source = "before layers.{b}.mlp.gate_proj"\ntarget = "layers.{b}.self_attn.q_proj"',
        ),
        r"self_attn\.q_proj",
        r"layers\.0\.self_attn\.o_proj\.weight feeds it by the record alone",
    ),
    "a part of a matrix that reads another layer": (
        "gpt2",
        lambda text: replaced(
            text,
            'source = "before h.{b}.attn.c_attn"\ntarget = "h.{b}.attn.c_attn query"',
            'source = "before h.0.attn.c_attn"\ntarget = "h.{b}.attn.c_attn query"',
        ),
        r"h\.1\.attn\.c_attn",
        "rows 0 to 59 of it read other neurons",
    ),
    "a matrix that nobody names": (
        "mlp",
        lambda text: without(text, 'matrix = "last.weight"').replace('  {name = "last", role = "output"},\n', ""),
        r"last\.weight",
        "no join of the record names it",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_record_is_found_and_named(wrong, tmp_path):
    case, change, matrix, said = WRONG[wrong]
    table = checked(change(made(case)[3]), case, tmp_path)
    found = table[~table["agrees"]]
    assert len(found) and found["matrix"].str.contains(matrix).any(), found.to_string()
    assert found["difference"].str.contains(said).any(), found["difference"].tolist()
    assert checked(made(case)[3], case, tmp_path)["agrees"].all()


# --- bad files ------------------------------------------------------------------------------------------------------

GOOD = """
model_type = "toy"
counted = {b = "blocks.{b}."}
left_out = [{name = "*.bias", reason = "bias"}]
layers = [
  {name = "in"},
  {name = "middle {b}", role = "mlp"},
  {name = "out {b}"},
]

[[joins]]
source = "in"
target = "middle {b}"
matrix = "blocks.{b}.up.weight"
b = "first"

[[joins]]
source = "out {b}"
target = "middle {b+1}"
matrix = "blocks.{b+1}.up.weight"
b = "but last"

[[joins]]
source = "middle {b}"
target = "out {b}"
matrix = "blocks.{b}.down.weight"
"""


def toy(blocks=3, width=4, middle=6, **config):
    tensors = {}
    for block in range(blocks):
        tensors[f"blocks.{block}.up.weight"] = np.ones((middle, width))
        tensors[f"blocks.{block}.down.weight"] = np.ones((width, middle))
        tensors[f"blocks.{block}.up.bias"] = np.ones(middle)
    return tensors, config


def opened(text, folder, tensors=None, **config):
    tensors = toy()[0] if tensors is None else tensors
    return load_network(tensors, config=config or None, architecture=written(text, folder))


def test_a_record_written_by_hand(tmp_path):
    network = opened(GOOD, tmp_path, toy(4)[0])
    assert [layer.name for layer in network.layers] == ["in"] + [
        f"{name} {b}" for b in range(4) for name in ("middle", "out")
    ]
    assert [layer.block for layer in network.layers] == [None, 0, 0, 1, 1, 2, 2, 3, 3]
    assert len(network.weight_blocks) == 8 and {reason for *_, reason in network.left_out} == {"bias"}


def added(key, where="[[joins]]\n"):
    """The record with a line more in its first join, or where another line is."""
    return (
        replaced(GOOD, where, where + key + "\n")
        if where != "[[joins]]\n"
        else GOOD.replace(where, where + key + "\n", 1)
    )


def fixed(lines, sizes=""):
    """The record with a join of weight 1 from its first layer to its last."""
    return GOOD.replace('{name = "in"}', f'{{name = "in"}}, {{name = "end"{sizes}}}') + (
        f'\n[[joins]]\nsource = "in"\ntarget = "end"\n{lines}\n'
    )


BAD = {
    "no TOML": ("model_type = ", "record.toml is no TOML file"),
    "unknown key at the top": ("kind = 3\n" + GOOD, "record.toml: 'kind' is unknown here; known are model_type"),
    "unknown key of a join": (added("matrices = 3"), r"joins.* 1 \('in' to 'middle \{b\}'\): 'matrices' is unknown"),
    "no joins": (GOOD[: GOOD.index("[[joins]]")], "joins is missing"),
    "no name": (GOOD.replace('{name = "in"}', '{role = "in"}'), r"layers.* 1: name is missing"),
    "another kind": (added("transposed = 1"), "transposed must be true or false, not 1"),
    "a list of texts": (added('rows = ["a"]'), "rows must hold whole numbers"),
    "no table": (GOOD.replace('{name = "in"}', '"in"'), "layers must be written as tables"),
    "prefixes": ("prefixes = [3]\n" + GOOD, "prefixes must be a list of texts"),
    "not counted": (GOOD.replace("out {b}", "out {d}"), r"\{d\} is not counted"),
    "counted by nothing": (GOOD.replace('"blocks.{b}."', '"blocks."'), r"\[counted\] b: .*holds no|no expression"),
    "counted by a letter to come": (
        GOOD.replace('{b = "blocks.{b}."}', '{b = "blocks.{c}.{b}.", c = "x.{c}."}'),
        r"\{c\} is not counted before it",
    ),
    "a long letter": (GOOD.replace("{b = ", "{bb = "), "a small letter"),
    "none of that name": (
        GOOD.replace('"blocks.{b}."', '"layers.{b}."'),
        "no tensor has a name that begins as layers.0.",
    ),
    "which": (GOOD.replace('b = "first"', 'b = "second"'), "b says 'second'; it takes all, first, last"),
    "which, without it": (GOOD.replace('{name = "in"}', '{name = "in", b = "first"}'), "of which it has none"),
    "beyond": (GOOD.replace('b = "first"', "b = [0, 9]"), "there is no b = 9 in a model that has 3"),
    "unknown layer": (
        GOOD.replace('b = "but last"', ""),
        r"no layer 'middle 3'; the layers are in, .*b = \"but last\"",
    ),
    "two layers of a name": (GOOD.replace('"in"}', '"in"}, {name = "in"}'), "two layers 'in'"),
    "no matrix": (GOOD.replace("up.weight", "upp.weight"), r"joins.* 1 .*blocks.0.upp.weight is missing"),
    "a vector": (GOOD.replace("up.weight", "up.bias"), r"blocks.0.up.bias has shape \(6,\): it is no matrix"),
    "sizes": (
        GOOD.replace('"middle {b}"\ntarget = "out {b}"', '"in"\ntarget = "out {b}"'),
        r"'in' has 6 neurons by the columns of blocks.0.down.weight, but 4 by the columns of blocks.0.up.weight",
    ),
    "no size": (fixed('kind = "all-to-all"'), r"layers.* 2 \('end'\): no matrix tells how many neurons"),
    "size nought": (fixed('kind = "all-to-all"', ", size = 0"), "size is 0"),
    "size without end": (
        fixed('kind = "all-to-all"', ", size = 2000000000"),
        "2000000000 is more than the weights have",
    ),
    "number without end": (GOOD.replace('"blocks.{b}."', '"2000000000"'), r"\[counted\] b: 2000000000 is more than"),
    "two ways": (added('kind = "one-to-one"'), "a join has a matrix, or else a kind"),
    "no way": (fixed(""), "a join has a matrix, or else a kind"),
    "foreign": (added("groups = 3"), "groups does not go with matrix"),
    "foreign of a kind": (fixed('kind = "all-to-all"\nexpert = 3', ", size = 4"), "expert does not go with kind"),
    "unknown kind": (fixed('kind = "spread"', ", size = 4"), "kind 'spread' is unknown; known are one-to-one"),
    "groups": (fixed('kind = "groups"', ", size = 4"), "groups, their number, goes with"),
    "groups that do not fit": (fixed('kind = "groups"\ngroups = 3', ", size = 4"), "4 targets are not 3 groups"),
    "not as many": (fixed('kind = "one-to-one"', ", size = 5"), "4 neurons by what joins|5 neurons by|not 4 to 5"),
    "repeated": (fixed('kind = "repeated"\ngroups = 2', ", size = 6"), "do not fill its 3 targets evenly"),
    "a stretch": (
        fixed('kind = "one-to-one"\ntargets = {from = 3, to = 7}', ", size = 6"),
        "targets: parts from 3 to 7",
    ),
    "a list": (fixed('kind = "one-to-one"\ntargets = [1, 9, 2, 3]', ", size = 6"), "targets are not within the 6"),
    "unknown key of a stretch": (
        fixed('kind = "one-to-one"\ntargets = {parts = 3}', ", size = 6"),
        "'parts' is unknown",
    ),
    "labels": (fixed("into = [0, 1]\nout_of = [0, 1, 2, 3]", ", size = 3"), "into and out_of hold 2 and 4 labels"),
    "labels alone": (fixed("into = [0, 1]", ", size = 2"), "labels of its two ends"),
    "rows": (added("rows = {of = 4, from = 0, to = 1}"), "rows: 6 are not 1 groups of 4"),
    "rows of other rows": (added("rows = [0, 1, 77]"), "rows are not within the 6"),
    "expert": (added("expert = 2"), r"blocks.0.up.weight has shape \(6, 4\): no matrix 2 is stacked in it"),
    "key of the configuration": (
        fixed('kind = "groups"\ngroups = "n_head"', ", size = 4"),
        r"joins.* 4 \('in' to 'end'\): n_head is missing in the configuration",
    ),
    "code": (fixed("kind = \"groups\"\ngroups = \"__import__('os').system('true')\"", ", size = 4"), "no expression"),
    "an attribute": (fixed('kind = "groups"\ngroups = "a.b"', ", size = 4"), "no expression"),
    "divided by nought": (fixed('kind = "groups"\ngroups = "4 // (2 - 2)"', ", size = 4"), "divides by 0"),
    "a huge number": (fixed('kind = "groups"\ngroups = "99999999 * 99999999"', ", size = 4"), "more than anything has"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_refused_with_its_name_and_entry(bad, tmp_path):
    text, said = BAD[bad]
    with pytest.raises(SourceError, match=said) as error:
        opened(text, tmp_path)
    assert "record.toml" in str(error.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.toml is missing"):
        read_architecture(tmp_path / "nowhere.toml")
    with pytest.raises(SourceError, match="is no ordinary file but a folder"):
        read_architecture(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match=r"bytes\.toml is no record"):
        read_architecture(tmp_path / "bytes.toml")


def test_expressions_say_numbers_and_nothing_else():
    def value(text):
        return rules.evaluate(rules.parsed(text), {"h": 6, "k": 2}.__getitem__, {"layer 1": 7}.__getitem__)

    assert [value(text) for text in ("3", "h // k + 2", "h - k * 2", "(h - k) * 2", "size('layer 1') + 1")] == [
        3,
        5,
        2,
        8,
        8,
    ]
    for text in (
        "h ** k",
        "-1",
        "1.5",
        "h if k else 1",
        "size(h)",
        "len('h')",
        "[h]",
        "'h'",
        "",
        "h k",
        "1" * 600,
        "True",
    ):
        with pytest.raises(SourceError, match="no expression"):
            rules.parsed(text)


@pytest.mark.parametrize(
    ("kind", "targets", "sources", "groups", "pairs"),
    [
        ("all-to-all", 2, 3, 1, [(t, s) for t in range(2) for s in range(3)]),
        ("groups", 4, 2, 2, [(0, 0), (1, 0), (2, 1), (3, 1)]),
        ("groups", 2, 4, 2, [(0, 0), (0, 1), (1, 2), (1, 3)]),
        ("repeated", 4, 2, 1, [(0, 0), (1, 1), (2, 0), (3, 1)]),
        ("repeated", 8, 4, 2, [(0, 0), (1, 1), (2, 0), (3, 1), (4, 2), (5, 3), (6, 2), (7, 3)]),
    ],
)
def test_kinds_join_these_neurons(kind, targets, sources, groups, pairs):
    into, out_of = rules.labels_of_kind(kind, targets, sources, groups)
    assert [tuple(pair) for pair in np.argwhere(into[:, None] == out_of)] == pairs


def test_an_architecture_of_the_package_says_its_chain_where_no_wiring_is_asked():
    model = made("llama")[0]
    assert load_network(model).wiring == "chain"
    own = Architecture("mine", None, None, ARCHITECTURES["llama"].dataflow, prefixes=("model.",))
    assert load_network(model, architecture=own).wiring == "dataflow"


def test_contributing_can_be_followed_to_the_letter(tmp_path, monkeypatch):
    """Its Python runs as it stands, in one session, and its commands after it; its TOML is part of what is written."""
    from click.testing import CliRunner

    from neuromfa_lite.cli.commands import main

    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    page = page[page.index("## How to add a family") : page.index("## What we hold to")]
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    before = dict(ARCHITECTURES)
    try:
        exec("\n".join(code for kind, code in blocks if kind == "python"), {})
    finally:
        ARCHITECTURES.clear()
        ARCHITECTURES.update(before)
    record = (tmp_path / "starcoder2.toml").read_text()
    assert all(part in record for kind, toml in blocks if kind == "toml" for part in toml.split("\n\n"))
    assert 100 < len(record.splitlines()) < 120
    commands = [line for kind, shell in blocks if kind == "shell" for line in shell.splitlines()]
    assert len(commands) == 2
    for command in commands:
        done = CliRunner().invoke(main, command.split()[1:])
        assert done.exit_code == 0 and done.output, done.output
