"""The two measures of token circuits: against plain loops, unchanged by what preserves the function, felt by wiring."""

import math

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.evaluation.changes import PRESERVING, SCALE, WIRING, WIRING_AND_TOKENS, changed
from neuromfa_lite.evaluation.measures import circuits
from neuromfa_lite.evaluation.measures.circuits import agreement, reciprocity, returned, token_agreement, token_paths
from neuromfa_lite.weights import open_source

TOKENS, HIDDEN, HEADS, WIDTH, MIDDLE = 7, 8, 2, 4, 12
CONFIG = {
    "model_type": "gpt_neox",
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": MIDDLE,
    "vocab_size": TOKENS,
    "tie_word_embeddings": False,
}


def tiny_model():
    """Tensors of a GPT-NeoX of two layers, every number drawn."""
    draw = np.random.default_rng(8)
    shapes = {"gpt_neox.embed_in.weight": (TOKENS, HIDDEN), "embed_out.weight": (TOKENS, HIDDEN)}
    vectors = ["gpt_neox.final_layer_norm"]
    for block in (0, 1):
        base = f"gpt_neox.layers.{block}."
        vectors += [base + "input_layernorm", base + "post_attention_layernorm"]
        shapes[base + "attention.query_key_value.weight"] = (3 * HIDDEN, HIDDEN)
        shapes[base + "attention.dense.weight"] = (HIDDEN, HIDDEN)
        shapes[base + "mlp.dense_h_to_4h.weight"] = (MIDDLE, HIDDEN)
        shapes[base + "mlp.dense_4h_to_h.weight"] = (HIDDEN, MIDDLE)
    tensors = {name: draw.standard_normal(shape) for name, shape in shapes.items()}
    for name in vectors:
        tensors |= {f"{name}.weight": draw.uniform(0.5, 2, HIDDEN), f"{name}.bias": draw.standard_normal(HIDDEN)}
    return tensors


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def transposed(a):
    return [list(column) for column in zip(*a, strict=True)]


def without_mean(rows):
    return [[x - sum(row) / len(row) for x in row] for row in rows]


def centred(rows):
    return transposed(without_mean(transposed(rows)))


def folded(matrix, gain):
    return without_mean([[x * g for x, g in zip(row, gain, strict=True)] for row in matrix])


def plain_rho(links):
    back = sum(links[i][j] * links[j][i] for i in range(len(links)) for j in range(len(links)))
    return back / sum(x * x for row in links for x in row)


def plain_ways(tensors):
    embedding = centred(without_mean(tensors["gpt_neox.embed_in.weight"].tolist()))
    gain = tensors["gpt_neox.final_layer_norm.weight"].tolist()
    return embedding, centred(folded(tensors["embed_out.weight"].tolist(), gain))


def plain_reciprocity(tensors):
    """The definition in loops: the links of every path written out, rows of values found in the fused matrix."""
    embedding, unembedding = plain_ways(tensors)
    arriving, squares = [transposed(embedding)], []
    for block in (0, 1):
        base = f"gpt_neox.layers.{block}."
        fused = tensors[base + "attention.query_key_value.weight"].tolist()
        gain = tensors[base + "input_layernorm.weight"].tolist()
        dense = tensors[base + "attention.dense.weight"].tolist()
        for head in range(HEADS):
            start = head * 3 * WIDTH + 2 * WIDTH  # each head's query, key, value lie one after another
            value = folded(fused[start : start + WIDTH], gain)
            out = centred([row[head * WIDTH : (head + 1) * WIDTH] for row in dense])
            for each in arriving:
                squares.append(plain_rho(product(product(unembedding, out), product(value, each))) ** 2)
        gain = tensors[base + "post_attention_layernorm.weight"].tolist()
        inner = folded(tensors[base + "mlp.dense_h_to_4h.weight"].tolist(), gain)
        outer = centred(tensors[base + "mlp.dense_4h_to_h.weight"].tolist())
        arriving.append(product(outer, product(inner, arriving[0])))
    return sum(squares) / len(squares)


def plain_agreement(first, second):
    def cosines(rows):
        sizes = [math.sqrt(sum(x * x for x in row)) for row in rows]
        inner = product(rows, transposed(rows))
        return [inner[i][j] / (sizes[i] * sizes[j]) for i in range(len(rows)) for j in range(i)]

    a, b = ([x - sum(each) / len(each) for x in each] for each in map(cosines, (first, second)))
    top = sum(x * y for x, y in zip(a, b, strict=True))
    return top / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_both_equal_plain_loops_on_a_tiny_model():
    tensors = tiny_model()
    source = open_source(tensors, config=CONFIG)
    assert reciprocity(source) == pytest.approx(plain_reciprocity(tensors), rel=1e-10)
    assert token_agreement(source) == pytest.approx(plain_agreement(*plain_ways(tensors)), rel=1e-10)


def test_a_path_for_every_head_and_for_every_mlp_before_it():
    paths = list(token_paths(nmfa.load_run("induction").checkpoint(0)))
    assert len(paths) == 4 + 4 * 2 and {each.shape for pair in paths for each in pair} == {(64, 16)}


def test_returned_is_of_the_links_whatever_their_factors():
    draw = np.random.default_rng(2)
    written, read, mixing = draw.standard_normal((9, 3)), draw.standard_normal((9, 3)), draw.standard_normal((3, 3))
    links = written @ read.T
    expected = np.trace(links @ links) / np.square(links).sum()
    assert returned(written, read) == pytest.approx(expected, rel=1e-12)
    assert returned(written @ mixing, read @ np.linalg.inv(mixing).T) == pytest.approx(expected, rel=1e-9)
    assert returned(read, read) == pytest.approx(1, rel=1e-12)


def test_agreement_of_clouds_that_know_nothing_of_each_other_is_near_zero():
    draw = np.random.default_rng(4)
    first, second = draw.standard_normal((200, 6)), draw.standard_normal((200, 6))
    turned = np.linalg.qr(draw.standard_normal((6, 6)))[0]
    assert abs(agreement(first, second)) < 0.03  # 19,900 pairs, of about 200 x 5 free numbers
    assert agreement(first, 3 * first @ turned) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("words", [SCALE, *PRESERVING])
@pytest.mark.parametrize("name", ["induction", "modular-addition"])
def test_both_are_unchanged_by_scale_and_by_what_leaves_the_function_as_it_is(name, words):
    run = nmfa.load_run(name)
    before, after = run.checkpoint(run.steps()[-1]), changed(run, words)
    for measure in (token_agreement, reciprocity):
        assert measure(after) == pytest.approx(measure(before), rel=1e-9)


@pytest.mark.parametrize("name", ["induction", "induction-pythia", "code-lm", "modular-addition"])
def test_reciprocity_feels_the_wiring_and_agreement_the_tokens_alone(name):
    run = nmfa.load_run(name)
    last = run.checkpoint(run.steps()[-1])
    assert reciprocity(changed(run, WIRING)) < reciprocity(last) / 5
    assert token_agreement(changed(run, WIRING)) == token_agreement(last)
    assert abs(token_agreement(changed(run, WIRING_AND_TOKENS))) < token_agreement(last) / 5


def test_errors_name_what_is_wrong():
    tensors = tiny_model()
    bad = tensors | {"gpt_neox.layers.1.mlp.dense_4h_to_h.weight": np.full((HIDDEN, MIDDLE), np.inf)}
    with pytest.raises(NeuroMFAError, match=r"layers.1.mlp.dense_4h_to_h.weight.*infinite"):
        reciprocity(open_source(bad, config=CONFIG))
    bad = tensors | {"gpt_neox.layers.0.attention.dense.weight": np.ones((HIDDEN, HIDDEN))}
    with pytest.raises(NeuroMFAError, match="links no tokens"):
        reciprocity(open_source(bad, config=CONFIG))
    bad = {name: each for name, each in tensors.items() if "embed_in" not in name}
    with pytest.raises(SourceError, match="no token embedding"):
        token_agreement(open_source(bad, config=CONFIG))
    bad = tensors | {"embed_out.weight": np.ones((TOKENS, HIDDEN))}
    with pytest.raises(NeuroMFAError, match=r"'embed_out.weight' has the same vector for every token"):
        token_agreement(open_source(bad, config=CONFIG))
    with pytest.raises(NeuroMFAError, match="1 of 3 tokens are zero"):
        agreement(np.diag([1.0, 2.0, 0.0]), np.eye(3))
    with pytest.raises(NeuroMFAError, match="equally alike"):
        agreement(np.eye(3), np.eye(3))


@pytest.mark.parametrize(
    "name, what, words",
    [
        ("folded_layers", lambda ways: lambda source: [], "no attention head"),
        ("folded_layers", lambda ways: lambda source: [{"mlp-in": 0, "mlp-out": 0}], "values"),
        ("token_ways", lambda ways: lambda source: (ways[0], ways[1][:-1]), "no link can be returned"),
        ("gain_of", lambda ways: lambda *given: np.full(64, np.nan), "gain in front of"),
    ],
)
def test_sources_without_paths_are_refused_by_name(name, what, words, monkeypatch):
    """What the paths go through is named where it is missing, instead of NaN or an error of NumPy."""
    whole = open_source(nmfa.load_run("induction").checkpoint(724))
    monkeypatch.setattr(circuits, name, what(circuits.token_ways(whole)))
    with pytest.raises(NeuroMFAError, match=words):
        reciprocity(whole)
