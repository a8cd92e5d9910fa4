"""Which matrix joins which layers: GPT-NeoX in full, other families by hand, and a model of 19 GB."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from models import CONFIG, gpt_neox_shapes, gpt_neox_tensors, write_folder

from neuromfa_lite.errors import SourceError
from neuromfa_lite.network.architectures import ARCHITECTURES, Architecture, Join, fused_rows, register
from neuromfa_lite.network.architectures.wire import known_of, wire
from neuromfa_lite.network.connections import NeuronLayer
from neuromfa_lite.network.parts import gain_of
from neuromfa_lite.weights import open_source

torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")

HEADS, HEAD_SIZE = 3, 20


@pytest.fixture(scope="module")
def model():
    """A GPT-NeoX of 3 heads of size 20, with biases that are not zero."""
    torch.manual_seed(0)
    config = transformers.GPTNeoXConfig(
        vocab_size=11,
        hidden_size=HEADS * HEAD_SIZE,
        num_attention_heads=HEADS,
        num_hidden_layers=2,
        intermediate_size=96,
        max_position_embeddings=16,
        attn_implementation="eager",
    )
    model = transformers.GPTNeoXForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.fixture
def registry(monkeypatch):
    """Whatever a test registers is forgotten after it."""
    for name in ("toy", "gpt2"):
        monkeypatch.delitem(ARCHITECTURES, name, raising=False)
    yield ARCHITECTURES
    for name in ("toy", "gpt2"):
        ARCHITECTURES.pop(name, None)


def attention_output(model, block):
    """What reaches attention.dense of a block, (tokens, heads, head size)."""
    seen = []
    hook = model.gpt_neox.layers[block].attention.dense.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    with torch.no_grad():
        model(torch.tensor([[1, 5, 3, 8, 2, 2, 9]]))
    hook.remove()
    return seen[0][0].reshape(-1, HEADS, HEAD_SIZE)


def rows_of(model, block, role, head):
    """The rows of query_key_value that our record names for one head of one role."""
    joins = ARCHITECTURES["gpt_neox"].list_joins(known_of(open_source(model)))
    [join] = [join for join in joins if join.target == f"block {block} {role}"]
    return torch.as_tensor(join.targets[head * HEAD_SIZE : (head + 1) * HEAD_SIZE])


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("head", range(HEADS))
@pytest.mark.parametrize("role", ["query", "key", "value"])
def test_the_rows_named_for_a_head_change_only_that_heads_attention_output(model, block, role, head):
    fused = model.gpt_neox.layers[block].attention.query_key_value
    rows, kept = rows_of(model, block, role, head), fused.weight.detach().clone()
    before = attention_output(model, block)
    with torch.no_grad():
        fused.weight[rows] = 0
        after = attention_output(model, block)
        fused.weight.copy_(kept)
    changed = (before != after).any(dim=(0, 2))
    assert changed.tolist() == [each == head for each in range(HEADS)]


@pytest.mark.parametrize("head", range(HEADS))
def test_a_head_without_its_value_rows_and_bias_puts_out_nothing(model, head):
    fused = model.gpt_neox.layers[0].attention.query_key_value
    kept, rows = {name: tensor.clone() for name, tensor in fused.state_dict().items()}, rows_of(model, 0, "value", head)
    with torch.no_grad():
        fused.weight[rows], fused.bias[rows] = 0, 0
        after = attention_output(model, 0)
        fused.load_state_dict(kept)
    silent = (after == 0).all(dim=2).all(dim=0)
    assert silent.tolist() == [each == head for each in range(HEADS)]


def test_query_key_and_value_rows_share_out_the_whole_matrix():
    rows = [fused_rows(HEADS, HEAD_SIZE, position) for position in range(3)]
    assert sorted(np.concatenate(rows)) == list(range(3 * HEADS * HEAD_SIZE))
    assert rows[2][:2].tolist() == [40, 41] and rows[0][20:22].tolist() == [60, 61]


def test_a_whole_model_is_wired_as_a_chain(model):
    wiring = wire(open_source(model))
    sizes = {layer.name: layer.size for layer in wiring.layers}
    names = "input query key value attention middle mlp"
    assert list(sizes) == [f"block {block} {name}" for block in (0, 1) for name in names.split()] + ["output"]
    assert {size for name, size in sizes.items() if not name.endswith("mlp")} == {60} and sizes["block 1 mlp"] == 96
    assert {(layer.role, layer.multiplier) for layer in wiring.layers if layer.multiplier != 1} == {("mlp", 2)}
    grouped = [layer.name for layer in wiring.layers if layer.group == "block 1 attention"]
    assert grouped == [f"block 1 {role}" for role in ("query", "key", "value", "attention")]
    assert all(layer.group == layer.name for layer in wiring.layers if "attention" not in layer.group)
    names = [layer.name for layer in wiring.layers]
    chain = [
        (names[block.source], names[block.target], block.role, block.kind if block.fixed else "weights")
        for block in wiring.blocks
        if names[block.source].startswith("block 1")
    ]
    assert chain == [
        ("block 1 input", "block 1 query", "query", "weights"),
        ("block 1 input", "block 1 key", "key", "weights"),
        ("block 1 input", "block 1 value", "value", "weights"),
        ("block 1 query", "block 1 attention", "attention", "one-to-one"),
        ("block 1 key", "block 1 attention", "attention", "all-to-all"),
        ("block 1 value", "block 1 attention", "attention", "all-to-all"),
        ("block 1 attention", "block 1 middle", "attention-output", "weights"),
        ("block 1 middle", "block 1 mlp", "mlp-in", "weights"),
        ("block 1 mlp", "output", "mlp-out", "weights"),
    ]


def test_every_matrix_of_the_wiring_holds_the_models_own_weights(model):
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for join in wire(open_source(model)).blocks:
        if not join.fixed:
            name, _, part = join.matrix.name.partition("[")
            expected = state[name]
            if part:
                expected = expected.reshape(HEADS, 3, HEAD_SIZE, -1)[:, ("query]", "key]", "value]").index(part)]
            np.testing.assert_array_equal(join.matrix.read(), expected.reshape(join.matrix.shape))


def test_the_ordinary_saver_and_ours_name_the_same_matrices(model, tmp_path):
    model.save_pretrained(tmp_path)
    saved, live = wire(open_source(tmp_path)), wire(open_source(model))
    assert [join.name for join in saved.blocks] == [join.name for join in live.blocks]
    for ours, theirs in zip(saved.blocks, live.blocks, strict=True):
        if not ours.fixed:
            np.testing.assert_array_equal(ours.matrix.read(), theirs.matrix.read())


@pytest.mark.parametrize("prefix", ["gpt_neox.", ""])
def test_with_or_without_the_prefix_everything_is_read_or_left_out_with_a_reason(tmp_path, prefix):
    tensors = gpt_neox_tensors(prefix=prefix)
    wiring = wire(open_source(write_folder(tmp_path, tensors)))
    used = {join.matrix.name.partition("[")[0] for join in wiring.blocks if not join.fixed}
    left_out = {name: (shape, reason) for name, shape, reason in wiring.left_out}
    assert used | set(left_out) == set(tensors) and not used & set(left_out)
    assert all(shape == tensors[name].shape for name, (shape, _) in left_out.items())
    said = {name.removeprefix(prefix).replace("layers.0.", ""): reason for name, (_, reason) in left_out.items()}
    for name, reason in {
        "embed_in.weight": "token embedding",
        "embed_out.weight": "unembedding",
        "attention.bias": "causal mask",
        "attention.masked_bias": "buffer",
        "attention.rotary_emb.inv_freq": "computed, not trained",
        "attention.query_key_value.bias": "joins no two neurons",
        "input_layernorm.weight": "layer norm",
        "final_layer_norm.weight": "layer norm",
    }.items():
        assert reason in said[name]


def test_a_tensor_of_no_known_name_is_left_out_by_name(tmp_path):
    tensors = gpt_neox_tensors() | {"gpt_neox.adapter.weight": np.ones((2, 2), "f4")}
    *_, (name, shape, reason) = sorted(
        wire(open_source(tensors, config=CONFIG)).left_out, key=lambda each: "adapter" in each[0]
    )
    assert (name, shape) == ("gpt_neox.adapter.weight", (2, 2)) and "no join of the gpt_neox record" in reason


# What does not fit


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"])
@pytest.mark.parametrize("value", ["missing", None, "12", 0, 1.5, True])
def test_a_configuration_value_that_is_missing_or_no_count(tmp_path, key, value):
    config = {**CONFIG, key: value}
    if value == "missing":
        del config[key]
    folder = write_folder(tmp_path, gpt_neox_tensors(), config)
    with pytest.raises(SourceError, match=rf"^{key} is .* in {re.escape(str(folder))}/config\.json: .*whole number"):
        wire(open_source(folder))


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"])
@pytest.mark.parametrize("value", [10**9, 10**300, float("nan"), float("inf"), -3, 12.0, [12], {}])
def test_a_count_that_no_file_could_fill_is_refused_before_anything_is_listed(tmp_path, key, value):
    source = open_source(write_folder(tmp_path, gpt_neox_tensors(), {**CONFIG, key: value}))
    for ask in (lambda: wire(source), lambda: gain_of(source, "unembedding")):
        with pytest.raises(SourceError, match=rf"^{key} .*config\.json.*take config\.json from the model the weights"):
            ask()


def test_a_record_that_reads_a_configuration_value_of_another_kind(registry):
    for value in (None, "12", [12], 10**400):
        register(Architecture("toy", layers=lambda config: [NeuronLayer("in", config["width"] / 2)], joins=[]))
        with pytest.raises(SourceError, match="the config given is not as the record of toy reads it"):
            wire(open_source({}, config={"model_type": "toy", "width": value}))


@pytest.mark.parametrize(("name", "neurons"), [("final_layer_norm", 1), ("layers.0.input_layernorm", 5)])
def test_a_gain_of_another_length_than_the_layer_is_named(tmp_path, name, neurons):
    tensors = gpt_neox_tensors() | {f"gpt_neox.{name}.weight": np.ones(neurons, "f4")}
    source = open_source(write_folder(tmp_path, tensors))
    behind = "unembedding" if name.startswith("final") else "gpt_neox.layers.0.attention.query_key_value.weight"
    with pytest.raises(SourceError, match=rf"{name}\.weight in .* has {neurons} numbers, but stands in front of"):
        gain_of(source, behind)


def test_heads_that_do_not_divide_the_hidden_size(tmp_path):
    folder = write_folder(tmp_path, gpt_neox_tensors(), {**CONFIG, "num_attention_heads": 5})
    with pytest.raises(SourceError, match=r"config\.json: a matrix of 36 rows does not hold the queries of 5 heads"):
        wire(open_source(folder))


def test_a_missing_layer_is_named(tmp_path):
    folder = write_folder(tmp_path, gpt_neox_tensors(), {**CONFIG, "num_hidden_layers": 3})
    with pytest.raises(SourceError, match=r"gpt_neox\.layers\.2\.attention\.query_key_value\.weight.* is missing in"):
        wire(open_source(folder))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("attention.query_key_value", (48, 12), (36, 12)),
        ("attention.query_key_value", (24, 12), (36, 12)),
        ("attention.dense", (12, 13), (12, 12)),
        ("mlp.dense_h_to_4h", (12, 20), (20, 12)),
        ("mlp.dense_4h_to_h", (12, 24), (12, 20)),
    ],
)
def test_a_shape_against_the_configuration_is_named_with_both_shapes(name, shape, expected):
    name = f"gpt_neox.layers.1.{name}.weight"
    tensors = gpt_neox_tensors() | {name: np.ones(shape, "f4")}
    with pytest.raises(SourceError) as caught:
        wire(open_source(tensors, config=CONFIG))
    said = str(caught.value)
    assert said.startswith(f"{name} in the state dict: expected shape {expected}") and f"found {shape}" in said
    assert ("transposed" in said) == (shape == expected[::-1])


def test_a_packed_matrix_is_named_as_quantised_not_as_one_of_another_model():
    name = "gpt_neox.layers.0.attention.dense.weight"
    with pytest.raises(SourceError, match=rf"{re.escape(name)} .*is stored as uint8, which holds no plain weights"):
        wire(open_source(gpt_neox_tensors() | {name: np.ones((72, 1), np.uint8)}, config=CONFIG))


def test_a_kernel_of_other_channels_is_named_with_both_shapes():
    name = "gpt_neox.layers.0.attention.dense.weight"
    tensors = gpt_neox_tensors() | {name: np.ones((12, 13, 1), "f4")}
    with pytest.raises(SourceError, match=rf"{re.escape(name)} in the .*expected shape \(12, 12\).*found \(12, 13\)"):
        wire(open_source(tensors, config=CONFIG))


# Families described by hand


@pytest.mark.parametrize("model_type", ["gpt-9", None, ["gpt2"]])
def test_an_unknown_architecture_says_what_was_found_and_how_to_describe_it(registry, tmp_path, model_type):
    tensors = {f"h.{block}.weight": np.ones((2, 3 + block), "f4") for block in range(25)}
    folder = write_folder(tmp_path, tensors, {"model_type": model_type} if model_type else {"n_embd": 2})
    with pytest.raises(SourceError) as caught:
        wire(open_source(folder))
    said = str(caught.value)
    assert f"model_type {model_type!r}" in said if model_type else "no model_type" in said
    for part in (
        str(folder),
        "known are bert, bloom, ",
        "h.0.weight (2, 3)",
        "and 5 more",
        "register_architecture(Architecture(",
        "Join(",
    ):
        assert part in said
    assert said.count(" (2, ") == 20


def test_an_error_of_an_unknown_architecture_is_printable(tmp_path):
    odd = "\x1b]0;title\x07\nw"
    source = open_source(write_folder(tmp_path, {odd: np.ones((2, 3), "f4")}, {"model_type": odd}))
    with pytest.raises(SourceError) as caught:
        wire(source)
    lines = str(caught.value).split("\n")
    assert all(line.isprintable() for line in lines) and f"  {odd!r} (2, 3)" in lines


def test_a_toy_network_is_described_in_ten_lines(registry):
    register(
        Architecture(
            "toy",
            layers=[NeuronLayer("in", 8), NeuronLayer("hidden", 32, role="mlp", multiplier=2), NeuronLayer("out", 4)],
            joins=[Join("in", "hidden", "0.weight", "mlp-in"), Join("hidden", "out", "2.weight", "mlp-out")],
        )
    )
    net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    wiring = wire(open_source(net, config={"model_type": "toy"}))
    ends_and_shapes = [(block.source, block.target, block.shape) for block in wiring.blocks]
    assert ends_and_shapes == [(0, 1, (32, 8)), (1, 2, (4, 32))]
    np.testing.assert_array_equal(wiring.blocks[1].matrix.read(), net[2].weight.detach().numpy())
    assert [name for name, _, _ in wiring.left_out] == ["0.bias", "2.bias"]


def test_the_recipe_of_the_error_message_works(registry):
    state = {"up.weight": np.ones((256, 64), "f4")}
    with pytest.raises(SourceError) as caught:
        wire(open_source(state, config={"model_type": "toy"}))
    [recipe] = re.findall(r"(?s)(  from neuromfa_lite.*?\)\]\)\))", str(caught.value))
    exec("if True:\n" + recipe.replace("NAME OF A MATRIX", "up.weight"), {})
    [join] = wire(open_source(state, config={"model_type": "toy"})).blocks
    assert join.matrix.shape == (256, 64)


def gpt2_layers(config):
    hidden = config["n_embd"]
    for block in range(config["n_layer"]):
        yield NeuronLayer(f"block {block} input", hidden, block=block)
        for role in ("query", "key", "value"):
            yield NeuronLayer(f"block {block} {role}", hidden, role, block, group=f"block {block} attention")
        yield NeuronLayer(f"block {block} mlp", 4 * hidden, "mlp", block, multiplier=2)
    yield NeuronLayer("output", hidden, "output")


def gpt2_joins(config):
    hidden, last = config["n_embd"], config["n_layer"] - 1
    for block in range(config["n_layer"]):
        name, stored = f"block {block}", f"h.{block}"
        for start, role in enumerate(("query", "key", "value")):
            rows = range(start * hidden, (start + 1) * hidden)  # contiguous thirds
            fused = f"{stored}.attn.c_attn.weight"
            yield Join(f"{name} input", f"{name} {role}", fused, role, part=role, targets=rows, transposed=True)
        after = "output" if block == last else f"block {block + 1} input"
        yield Join(f"{name} input", f"{name} mlp", f"{stored}.mlp.c_fc.weight", "mlp-in", transposed=True)
        yield Join(f"{name} mlp", after, f"{stored}.mlp.c_proj.weight", "mlp-out", transposed=True)


def test_gpt2_whose_matrices_are_stored_the_other_way_round_is_one_record(registry, tmp_path):
    config = transformers.GPT2Config(vocab_size=11, n_positions=8, n_embd=12, n_layer=2, n_head=3)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    source = open_source(tmp_path)
    register(
        Architecture("gpt2", gpt2_layers, gpt2_joins, required=("n_embd", "n_layer"), prefixes=("transformer.", ""))
    )
    joins = {join.name: join for join in wire(source).blocks}
    stored = source.matrices["transformer.h.1.attn.c_attn.weight"].read()
    up = joins["transformer.h.1.mlp.c_fc.weight"].matrix
    value = joins["transformer.h.1.attn.c_attn.weight[value]"].matrix
    assert stored.shape == (12, 36) and up.shape == (48, 12) and value.shape == (12, 12)
    np.testing.assert_array_equal(value.read(), stored[:, 24:].T)
    np.testing.assert_array_equal(value.read([3, 1], [0, 7]), stored[:, 24:].T[np.ix_([3, 1], [0, 7])])
    np.testing.assert_array_equal(value.rows(2, 5), stored[:, 24:].T[2:5])


@pytest.mark.parametrize(
    ("join", "said"),
    [
        (Join("in", "nowhere", "w"), "lists no layer 'nowhere'; its layers are in, out"),
        (Join("in", "out"), "in -> out: a join needs the name of its matrix, or kind"),
        (Join("in", "out", kind="one-to-one"), "one-to-one joins layers of one size, not 3 to 2"),
        (Join("in", "out", "w", targets=[1]), r"w\[out\]: the record gives it 1 rows, but layer out has 2"),
        (Join("in", "out", "w", targets=[]), r"w in the state dict: expected shape \(0, 3\)"),
        (Join("in", "out", "b"), r"b, the weights from in to out, has shape \(2,\)"),
    ],
)
def test_a_record_that_contradicts_itself_is_explained(registry, join, said):
    register(Architecture("toy", layers=[NeuronLayer("in", 3), NeuronLayer("out", 2)], joins=[join]))
    with pytest.raises(SourceError, match=said):
        wire(open_source({"w": np.ones((2, 3)), "b": np.ones(2)}, config={"model_type": "toy"}))


def test_a_record_that_reads_a_missing_configuration_value(registry):
    register(Architecture("toy", layers=lambda config: [NeuronLayer("in", config["width"])], joins=[]))
    with pytest.raises(SourceError, match="width is missing in the config given: the record of toy reads it"):
        wire(open_source({}, config={"model_type": "toy"}))
    with pytest.raises(SourceError, match=r"register\(\) takes an Architecture"):
        register("toy")


# Size


def write_sparse_model(folder, config):
    """A GPT-NeoX folder in float32 whose file has a header and one weight, and else takes no room on the disk."""
    entries, end = {}, 0
    for name, shape in gpt_neox_shapes(config).items():
        size = 4 * int(np.prod(shape))
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    path = folder / "model.safetensors"
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
        last = entries[f"gpt_neox.layers.{config['num_hidden_layers'] - 1}.mlp.dense_4h_to_h.weight"]
        file.seek(8 + len(header) + last["data_offsets"][0])
        file.write(np.float32(0.5).tobytes())  # neuron 0 to neuron 0
    (folder / "config.json").write_text(json.dumps(config))
    return path


SAMPLE_HUGE_MODEL = """
import json, resource, sys
import numpy as np
from neuromfa_lite.network import load_network
from neuromfa_lite.weights import open_source
from neuromfa_lite.network.architectures.wire import wire
network = load_network(sys.argv[1])
table, sample = network.describe(), network.sample(64, seed=0)
source = open_source(sys.argv[1])
wiring, k = wire(source), 64
drawn = [np.arange(k * layer.multiplier) * (layer.size // k // layer.multiplier) for layer in wiring.layers]
weights = [j.matrix.read(drawn[j.target], drawn[j.source]) for j in wiring.blocks if not j.fixed]
if sys.platform == "linux":  # its ru_maxrss counts the test process, which started this one, as well
    [peak] = [int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")]
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
total = float(sum(each.sum() for each in weights))
print(json.dumps([len(source.names), len(weights), sum(each.size for each in weights), total, peak,
                  int(table["read"].sum()), int(table["connections"][table["read"]].sum()), sample.connections]))
"""


def test_a_model_of_19_gigabytes_is_described_and_sampled_in_little_memory_and_time(tmp_path):
    config = {**CONFIG, "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 22}
    config |= {"intermediate_size": 16384, "vocab_size": 50432}
    path = write_sparse_model(tmp_path, config)
    assert path.stat().st_size > 19e9
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE_HUGE_MODEL, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    tensors, matrices, weights, total, megabytes, *network = json.loads(done.stdout)
    sampled = 22 * (4 * 64 * 64 + 2 * 64 * 128)
    assert (tensors, matrices, weights) == (len(gpt_neox_shapes(config)), 22 * 6, sampled)
    assert network == [22 * 6, 22 * (4 * 4096**2 + 2 * 4096 * 16384), sampled]
    assert total == 0.5  # the one weight that was written
    assert seconds < 5 and megabytes < 300, f"{seconds:.1f} s, {megabytes:.0f} MB"
    print(f"19 GB sampled: {seconds:.2f} s, {megabytes:.0f} MB")


@pytest.mark.parametrize("names", [("w_v", "w_u"), ("x_g", "b_mask")])
@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_a_record_may_name_matrices_as_wrappers_do(registry, names, prefix):
    layers = [NeuronLayer("in", 3), NeuronLayer("middle", 4), NeuronLayer("out", 2)]
    joins = [Join("in", "middle", names[0]), Join("middle", "out", names[1])]
    register(Architecture("toy", layers, joins, prefixes=("", "model.", "module."), required=("context_length",)))
    state = {f"{prefix}{names[0]}": np.ones((4, 3)), f"{prefix}{names[1]}": np.ones((2, 4))}
    wiring = wire(open_source(state, config={"model_type": "toy", "context_length": 131072}))
    assert [join.matrix.shape for join in wiring.blocks if not join.fixed] == [(4, 3), (2, 4)]
