"""Who feeds whom in the families of transformers, written by hand from their forward, at awkward sizes."""

import numpy as np
import pytest
from traced import blocks, check, every, joins, kinds, labels, part, positions, same

from neuromfa_lite.network.trace import trace

torch = pytest.importorskip("torch")
T = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

HEADS, WIDE, HIDDEN, INNER, WORDS = 3, 20, 60, 44, 50
SIZES = dict(hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=INNER,
             vocab_size=WORDS)  # fmt: skip
IDS = torch.tensor([[3, 1, 4, 1, 5, 9]])
HEAD = blocks(HEADS, WIDE, WIDE)  # a query or a key feeds its whole head
ONE_KEY = every(HIDDEN, WIDE)  # one key head for all queries
ONE_VALUE = np.vstack([same(WIDE)] * HEADS)  # and its value one channel in each


def made(kind, config, **more):
    torch.manual_seed(0)
    return kind(config).eval(), {"use_cache": False, "input_ids": IDS, **more}


def stream(readers, writers):
    """Every reader reads the sum of all writers."""
    return {(reader, writer): same(HIDDEN) for reader in readers for writer in writers}


def decoder(blocks_of, embeddings, head, layers=2):
    """A residual stream of blocks in turn: blocks_of(layer) gives (readers, inside, writer) for each of its parts."""
    known, writers = {}, list(embeddings)
    for layer in range(layers):
        for readers, inside, writer in blocks_of(layer):
            known |= stream(readers, writers) | inside
            writers.append(writer)
    return known | stream([head], writers)


def attention(name, q, k, v, o, grouped=False):
    key, value = (ONE_KEY, ONE_VALUE) if grouped else (HEAD, same(HIDDEN))
    q, k, v, o = (f"{name}.{part_}" for part_ in (q, k, v, o))
    return [q, k, v], {(o, q): HEAD, (o, k): key, (o, v): value}, o


def plain(name, up, down):
    return [f"{name}.{up}"], {(f"{name}.{down}", f"{name}.{up}"): same(INNER)}, f"{name}.{down}"


def gated(name, gate, up, down):
    gate, up, down = (f"{name}.{part_}" for part_ in (gate, up, down))
    return [gate, up], {(down, gate): same(INNER), (down, up): same(INNER)}, down


def test_gpt_neox_reads_in_parallel_and_head_by_head():
    model, inputs = made(T.GPTNeoXForCausalLM, T.GPTNeoXConfig(**SIZES))
    rows = np.arange(3 * HIDDEN).reshape(HEADS, 3, WIDE)  # of each head its query, key and value
    fused = np.zeros((HIDDEN, 3 * HIDDEN), bool)
    for head in range(HEADS):
        fused[head * WIDE : (head + 1) * WIDE, rows[head, :2].ravel()] = True
        fused[np.arange(WIDE) + head * WIDE, rows[head, 2]] = True
    known, writers = {}, ["gpt_neox.embed_in"]
    for layer in range(2):
        name = f"gpt_neox.layers.{layer}"
        qkv, up = f"{name}.attention.query_key_value", f"{name}.mlp.dense_h_to_4h"
        dense, down = f"{name}.attention.dense", f"{name}.mlp.dense_4h_to_h"
        known |= stream([qkv, up], writers) | {(dense, qkv): fused, (down, up): same(INNER)}
        writers += [dense, down]
    traced = check(model, inputs, known | stream(["lm_head"], writers))
    names = labels(traced)
    queries, keys, values = traced.uses[names.index("gpt_neox.layers.0.attention.dense")].feeds
    assert queries.channels.tolist() == rows[:, 0].ravel().tolist() and queries.same_position[rows[:, 0]].all()
    assert keys.channels.tolist() == rows[:, 1].ravel().tolist() and not keys.same_position.any()
    assert values.of_target.tolist() == rows[:, 2].ravel().tolist()
    assert [queries.kind, keys.kind, values.kind] == ["groups", "groups", "one-to-one"]


def test_gpt2_is_stored_inputs_first_and_tied():
    config = T.GPT2Config(n_embd=HIDDEN, n_layer=2, n_head=HEADS, n_inner=INNER, vocab_size=WORDS, n_positions=9)
    model, inputs = made(T.GPT2LMHeadModel, config)

    def block(layer):
        name = f"transformer.h.{layer}"
        qkv, out = f"{name}.attn.c_attn", f"{name}.attn.c_proj"
        yield [qkv], {(out, qkv): np.hstack([HEAD, HEAD, same(HIDDEN)])}, out
        yield plain(f"{name}.mlp", "c_fc", "c_proj")

    known = decoder(block, ["transformer.wte", "transformer.wpe"], "transformer.wte'2")
    traced = check(model, inputs, known)
    assert [use.transposed for use in traced.uses if "c_" in use.name] == [True] * 8


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3", "SmolLM3", "Gemma", "Olmo2"])
def test_families_like_llama(family):
    grouped = family != "Olmo2"
    more = dict(num_key_value_heads=1 if grouped else HEADS, pad_token_id=0)
    more |= dict(head_dim=WIDE) if family in ("Qwen3", "Gemma") else {}
    config = getattr(T, f"{family}Config")(**SIZES, **more, tie_word_embeddings=False)
    model, inputs = made(getattr(T, f"{family}ForCausalLM"), config)

    def block(layer):
        name = f"model.layers.{layer}"
        yield attention(f"{name}.self_attn", "q_proj", "k_proj", "v_proj", "o_proj", grouped)
        yield gated(f"{name}.mlp", "gate_proj", "up_proj", "down_proj")

    traced = check(model, inputs, decoder(block, ["model.embed_tokens"], "lm_head"))
    out = "model.layers.1.self_attn.o_proj"
    assert positions(traced, out, "model.layers.1.self_attn.q_proj") == {True}
    assert positions(traced, out, "model.layers.1.self_attn.k_proj") == {False}
    assert kinds(traced, out, "model.layers.1.self_attn.v_proj") == ["one-to-one"]


def test_phi3_has_fused_matrices_with_one_key():
    model, inputs = made(T.Phi3ForCausalLM, T.Phi3Config(**SIZES, num_key_value_heads=1, pad_token_id=0))

    def block(layer):
        name = f"model.layers.{layer}"
        qkv, out = f"{name}.self_attn.qkv_proj", f"{name}.self_attn.o_proj"
        yield [qkv], {(out, qkv): np.hstack([HEAD, ONE_KEY, ONE_VALUE])}, out
        up, down = f"{name}.mlp.gate_up_proj", f"{name}.mlp.down_proj"
        yield [up], {(down, up): np.hstack([same(INNER), same(INNER)])}, down

    traced = check(model, inputs, decoder(block, ["model.embed_tokens"], "lm_head"))
    assert kinds(traced, "model.layers.0.mlp.down_proj", "model.layers.0.mlp.gate_up_proj") == ["one-to-one"] * 2


def test_gptj_reads_in_parallel_and_opt_and_bloom_in_turn():
    config = T.GPTJConfig(n_embd=HIDDEN, n_layer=1, n_head=HEADS, rotary_dim=8, n_inner=INNER, vocab_size=WORDS)
    model, inputs = made(T.GPTJForCausalLM, config)
    readers, inside, out = attention("transformer.h.0.attn", "q_proj", "k_proj", "v_proj", "out_proj")
    up, more, down = plain("transformer.h.0.mlp", "fc_in", "fc_out")
    known = stream(readers + up, ["transformer.wte"]) | inside | more
    check(model, inputs, known | stream(["lm_head"], ["transformer.wte", out, down]))

    config = T.OPTConfig(hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=HEADS, ffn_dim=INNER,
                         vocab_size=WORDS, word_embed_proj_dim=HIDDEN, max_position_embeddings=32)  # fmt: skip
    model, inputs = made(T.OPTForCausalLM, config)

    def block(layer):
        name = f"model.decoder.layers.{layer}"
        yield attention(f"{name}.self_attn", "q_proj", "k_proj", "v_proj", "out_proj")
        yield plain(name, "fc1", "fc2")

    embeddings = ["model.decoder.embed_tokens", "model.decoder.embed_positions"]
    check(model, inputs, decoder(block, embeddings, "model.decoder.embed_tokens'2"))

    config = T.BloomConfig(hidden_size=HIDDEN, n_layer=1, n_head=HEADS, vocab_size=WORDS)
    model, inputs = made(T.BloomForCausalLM, config)
    dense, qkv = "transformer.h.0.self_attention.dense", "transformer.h.0.self_attention.query_key_value"
    by_head = np.kron(np.eye(HEADS, dtype=bool), np.hstack([every(WIDE, 2 * WIDE), same(WIDE)]))
    up, down = (f"transformer.h.0.mlp.dense_{way}" for way in ("h_to_4h", "4h_to_h"))
    words = "transformer.word_embeddings"
    known = stream([qkv], [words]) | {(dense, qkv): by_head, (down, up): same(4 * HIDDEN)}
    check(model, inputs, known | stream([up], [words, dense]) | stream([f"{words}'2"], [words, dense, down]))


@pytest.mark.parametrize("family", ["Bert", "Roberta"])
def test_bert_reads_its_three_embeddings(family):
    model, inputs = made(getattr(T, f"{family}Model"), getattr(T, f"{family}Config")(**SIZES))
    del inputs["use_cache"]

    def block(layer):
        name = f"encoder.layer.{layer}"
        readers, inside, _ = attention(f"{name}.attention.self", "query", "key", "value", "dense")
        out = f"{name}.attention.output.dense"
        yield readers, {(out, source): matrix for (_, source), matrix in inside.items()}, out
        up, down = f"{name}.intermediate.dense", f"{name}.output.dense"
        yield [up], {(down, up): same(INNER)}, down

    embeddings = [f"embeddings.{kind}_embeddings" for kind in ("word", "token_type", "position")]
    check(model, inputs, decoder(block, embeddings, "pooler.dense"))


def test_distilbert_and_a_vision_transformer():
    config = T.DistilBertConfig(dim=HIDDEN, n_layers=2, n_heads=HEADS, hidden_dim=INNER, vocab_size=WORDS)
    model, inputs = made(T.DistilBertForSequenceClassification, config)
    del inputs["use_cache"]

    def block(layer):
        name = f"distilbert.transformer.layer.{layer}"
        yield attention(f"{name}.attention", "q_lin", "k_lin", "v_lin", "out_lin")
        yield plain(f"{name}.ffn", "lin1", "lin2")

    embeddings = [f"distilbert.embeddings.{kind}_embeddings" for kind in ("word", "position")]
    known = decoder(block, embeddings, "pre_classifier")
    check(model, inputs, known | {("classifier", "pre_classifier"): same(HIDDEN)})

    sizes = {name: size for name, size in SIZES.items() if name != "vocab_size"}
    torch.manual_seed(0)
    model = T.ViTModel(T.ViTConfig(**sizes, image_size=12, patch_size=4)).eval()
    traced_names = [name for name, _ in model.named_parameters()]
    q = next(name for name in traced_names if "layer" in name and "q" in name.split(".")[-2][:1])
    up = next(name for name in traced_names if "layer" in name and (".fc1." in name or "intermediate.dense" in name))
    left_out = {"embeddings.cls_token": "used inside cat", "embeddings.position_embeddings": "used inside add"}

    traced = trace(model, {"pixel_values": torch.randn(1, 3, 12, 12)}, progress=False)
    found, patches = joins(traced), "embeddings.patch_embeddings.projection"
    assert {name: why for name, _, why in traced.left_out} == left_out
    assert np.array_equal(found[patches, "pixel_values"], same(3))
    assert np.array_equal(found[q.removesuffix(".weight"), patches], same(HIDDEN))
    assert np.array_equal(found[up.removesuffix(".weight"), patches], same(HIDDEN))


def test_t5_crosses_from_the_encoders_last_stream():
    config = T.T5Config(d_model=HIDDEN, d_kv=WIDE, d_ff=INNER, num_layers=1, num_heads=HEADS, vocab_size=WORDS,
                        feed_forward_proj="gated-gelu")  # fmt: skip
    model, inputs = made(T.T5ForConditionalGeneration, config, decoder_input_ids=IDS[:, :4])
    bias = np.kron(np.eye(HEADS, dtype=bool), np.ones((WIDE, 1), bool)).astype(bool)
    known, ends = {}, {}
    for side, words in (("encoder", "shared"), ("decoder", "shared'2")):
        name, writers = f"{side}.block.0.layer", [words]
        readers, inside, out = attention(f"{name}.0.SelfAttention", "q", "k", "v", "o")
        known |= stream(readers, writers) | inside
        known[out, f"{name}.0.SelfAttention.relative_attention_bias"] = bias
        writers.append(out)
        number = 1
        if side == "decoder":
            (q, k, v), inside, out = attention(f"{name}.1.EncDecAttention", "q", "k", "v", "o")
            known |= stream([q], writers) | stream([k, v], ends["encoder"]) | inside
            writers.append(out)
            number = 2
        readers, inside, out = gated(f"{name}.{number}.DenseReluDense", "wi_0", "wi_1", "wo")
        known |= stream(readers, writers) | inside
        ends[side] = [*writers, out]
    head = "lm_head" if not config.tie_word_embeddings else "shared'3"
    check(model, inputs, known | stream([head], ends["decoder"]))


def test_mamba_feeds_its_gate_and_its_steps():
    inner, state, rank, hidden = 42, 4, 5, 21
    config = T.MambaConfig(hidden_size=hidden, num_hidden_layers=1, vocab_size=WORDS, state_size=state,
                           time_step_rank=rank)  # fmt: skip
    model, _ = made(T.MambaForCausalLM, config)
    name = "backbone.layers.0.mixer"
    words, inward, convolved, x, step, out = (
        "backbone.embeddings",
        *(f"{name}.{kind}" for kind in ("in_proj", "conv1d", "x_proj", "dt_proj", "out_proj")),
    )
    known = {
        (inward, words): same(hidden),
        (convolved, inward): part(inner, 2 * inner),
        (x, convolved): same(inner),
        (step, x): part(rank, rank + 2 * state),
        (out, inward): part(inner, 2 * inner, since=inner),  # the gate
        (out, convolved): same(inner),
        (out, step): same(inner),
        (out, x): np.hstack([np.zeros((inner, rank), bool), every(inner, 2 * state)]),
        (f"{words}'2", words): same(hidden),
        (f"{words}'2", out): same(hidden),
    }
    traced = check(model, {"input_ids": IDS, "use_cache": False}, known, left_out={f"{name}.A_log": "used inside mul"})
    names = labels(traced)
    use = traced.uses[names.index(convolved)]
    weights = use.weights(model.backbone.layers[0].mixer.conv1d.weight.detach().numpy())
    assert use.groups == inner and not (weights.any(2) & ~same(inner)).any() and not use.transposed


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
def test_mixtral_stacks_its_experts(implementation):
    config = T.MixtralConfig(**SIZES | {"num_hidden_layers": 1}, num_key_value_heads=1, num_local_experts=3,
                             num_experts_per_tok=2, experts_implementation=implementation)  # fmt: skip
    model, inputs = made(T.MixtralForCausalLM, config)
    readers, inside, out = attention("model.layers.0.self_attn", "q_proj", "k_proj", "v_proj", "o_proj", True)
    words, router = "model.embed_tokens", "model.layers.0.mlp.gate"
    up, down = "model.layers.0.mlp.experts.gate_up_proj", "model.layers.0.mlp.experts.down_proj"
    known = stream(readers, [words]) | inside | stream([router], [words, out])
    for expert in range(3):
        known |= stream([f"{up}#{expert}"], [words, out])
        known[f"{down}#{expert}", f"{up}#{expert}"] = np.hstack([same(INNER), same(INNER)])
    known |= stream(["lm_head"], [words, out, *(f"{down}#{expert}" for expert in range(3))])
    known["lm_head", router] = every(HIDDEN, 3)
    inputs["input_ids"] = torch.arange(12)[None]
    traced = check(model, inputs, known)
    assert {by for use in traced.uses for _, by in use.cut_by} == {"topk"}
    stored = dict(model.named_parameters())
    for use in traced.uses:
        if use.expert is not None:
            matrix = stored[use.name][use.expert].detach().numpy()
            assert np.array_equal(use.weights(stored[use.name].detach().numpy())[:, :, 0], matrix)
            rows, columns = use.in_two_dimensions()
            assert rows.tolist() == list(range(use.expert * use.n_out, (use.expert + 1) * use.n_out))
            assert columns.tolist() == list(range(use.n_in)) and not use.transposed


def test_resnet_with_its_shortcuts():
    config = T.ResNetConfig(embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic")
    torch.manual_seed(0)
    first, second = "resnet.encoder.stages.0.layers.0.layer", "resnet.encoder.stages.1.layers.0.layer"
    a, b, c, d = (f"{name}.{n}.convolution" for name in (first, second) for n in (0, 1))
    stem, shortcut = "resnet.embedder.embedder.convolution", "resnet.encoder.stages.1.layers.0.shortcut.convolution"
    known = {
        (stem, "pixel_values"): same(3),
        (a, stem): same(6),
        (b, a): same(6),
        (c, stem): same(6),
        (c, b): same(6),
        (d, c): same(10),
        (shortcut, stem): same(6),
        (shortcut, b): same(6),
        ("classifier.1", d): same(10),
        ("classifier.1", shortcut): same(10),
    }
    check(T.ResNetForImageClassification(config), {"pixel_values": torch.randn(1, 3, 32, 32)}, known)


def test_experts_that_no_token_reaches_are_named():
    config = T.MixtralConfig(**SIZES | {"num_hidden_layers": 1}, num_key_value_heads=1, num_local_experts=40,
                             num_experts_per_tok=1)  # fmt: skip
    model, inputs = made(T.MixtralForCausalLM, config)
    traced = trace(model, inputs, progress=False)
    for kind in ("gate_up_proj", "down_proj"):
        name = f"model.layers.0.mlp.experts.{kind}"
        reached = {use.expert for use in traced.uses if use.name == name}
        missing = [str(number) for number in range(40) if number not in reached]
        reason = next(why for other, _, why in traced.left_out if other == name)
        assert reached and reason == f"expert {', '.join(missing)} of 40: nothing reached it with these inputs"
