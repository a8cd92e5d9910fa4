"""Function-preserving changes: equal logits in float64 on held-out sequences, other weights, another published E."""

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.evaluation.controls import (
    FUNCTION_PRESERVING,
    ChangedCheckpoint,
    emergence_from,
    scaled,
)
from neuromfa_lite.evaluation.controls.function_preserving import fold_layer_norms, permute_hidden, scale_values
from neuromfa_lite.evaluation.controls.models import logits
from neuromfa_lite.laboratory.recipes import find_recipe
from neuromfa_lite.laboratory.tasks import find_task
from neuromfa_lite.network.architectures import fused_rows
from neuromfa_lite.weights import open_source

CLOSE = 1e-10
# kinds of GPT-NeoX, as what they change in the configuration
KINDS = {
    "parallel": {},
    "sequential": {"use_parallel_residual": False},
    "no attention biases": {"attention_bias": False},
    "tied": {"tie_word_embeddings": True},
}


@pytest.fixture(scope="module")
def run():
    return nmfa.load_run("induction")


@pytest.fixture(scope="module")
def tokens():
    return find_task(find_recipe("induction")).questions()[:32]


@pytest.fixture(scope="module")
def expected(run, tokens):
    return logits(run.checkpoint(724), tokens)


def distance(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def model_of_kind(kind):
    """A random GPT-NeoX, its gains and biases far from 1 and 0, one gain 0 in every norm."""
    config = open_source(nmfa.load_run("induction").checkpoint(0)).config | KINDS[kind]
    draw, tensors = np.random.default_rng(3), {}
    for name, array in ChangedCheckpoint(nmfa.load_run("induction").checkpoint(724), "nothing").tensors().items():
        tensors[name] = array + draw.normal(0, 0.3, array.shape)
        if "norm.weight" in name:
            tensors[name][5] = 0
    if kind == "no attention biases":
        tensors = {name: array for name, array in tensors.items() if not name.endswith(("value.bias", "dense.bias"))}
    if kind == "tied":
        tensors["lm_head.weight"] = tensors["gpt_neox.embed_in.weight"]
    return open_source(tensors, config=config)


@pytest.mark.torch
@pytest.mark.parametrize("name", FUNCTION_PRESERVING)
def test_logits_are_equal_and_weights_are_not(run, tokens, expected, name):
    checkpoint = run.checkpoint(724)
    changed = FUNCTION_PRESERVING[name](checkpoint)
    assert distance(logits(changed, tokens), expected) < CLOSE
    assert (changed.run, changed.seed, changed.step) == ("induction", 0, 724)
    before, after = ChangedCheckpoint(checkpoint, "nothing").tensors(), changed.tensors()
    moved = [name for name in before if np.abs(after[name] - before[name]).max() > 0.01]
    assert any(".layers.0." in name and "weight" in name for name in moved)
    assert any(".layers.1." in name and "weight" in name for name in moved)


@pytest.mark.torch
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_equal_for_every_kind_of_gpt_neox(kind, tokens):
    source = model_of_kind(kind)
    before = logits(source, tokens)
    for name, change in FUNCTION_PRESERVING.items():
        assert distance(logits(change(source), tokens), before) < CLOSE, name


@pytest.mark.torch
def test_all_of_them_one_after_another(run, tokens, expected):
    changed = run.checkpoint(724)
    for change in FUNCTION_PRESERVING.values():
        changed = change(changed)
    assert distance(logits(changed, tokens), expected) < CLOSE


@pytest.mark.torch
def test_values_alone_or_a_common_factor_change_the_logits(run, tokens, expected):
    tensors = ChangedCheckpoint(run.checkpoint(724), "nothing").tensors()
    for block in range(2):
        tensors[f"gpt_neox.layers.{block}.attention.query_key_value.weight"][fused_rows(4, 16, 2)] *= 3
    alone = ChangedCheckpoint(run.checkpoint(724), "values alone", tensors)
    for changed in (alone, scaled(run.checkpoint(724), 2)):
        assert distance(logits(changed, tokens), expected) > 0.01


@pytest.mark.parametrize("name", FUNCTION_PRESERVING)
def test_published_emergence_moves(run, name):
    start, checkpoint = run.checkpoint(0), run.checkpoint(724)
    before, after = emergence_from(start, [checkpoint, FUNCTION_PRESERVING[name](checkpoint)])
    assert abs(after - before) > 0.01


def test_renumbering_moves_a_sample_and_not_the_whole(run):
    checkpoint = run.checkpoint(724)
    whole = emergence_from(run.checkpoint(0), [checkpoint, permute_hidden(checkpoint)], neurons_per_layer=None)
    assert whole[1] == pytest.approx(whole[0], rel=1e-12)


def test_folding_leaves_gains_of_1_and_biases_only_where_nothing_takes_them(run):
    folded = fold_layer_norms(run.checkpoint(724)).tensors()
    before = ChangedCheckpoint(run.checkpoint(724), "nothing").tensors()
    norms = [name for name in folded if "norm.weight" in name]
    assert len(norms) == 5 and all((folded[name] == 1).all() for name in norms)
    for name in norms:
        bias = name.replace("weight", "bias")
        wanted = before[bias] / before[name].astype(float) if "final" in name else 0
        np.testing.assert_allclose(folded[bias], np.broadcast_to(wanted, 64), rtol=1e-15)
    assert set(fold_layer_norms(model_of_kind("parallel")).tensors()["gpt_neox.final_layer_norm.weight"]) == {0.0, 1.0}


def test_refused_are_other_architectures_and_incomplete_models(run):
    with pytest.raises(NeuroMFAError, match=r"'toy'.*gpt_neox only"):
        fold_layer_norms(open_source({"fc.weight": np.ones((2, 2))}, config={"model_type": "toy"}))
    source = open_source(run.checkpoint(0))
    tensors = ChangedCheckpoint(source, "nothing").tensors()
    lacking = {name: array for name, array in tensors.items() if "layers.1.input_layernorm" not in name}
    with pytest.raises(NeuroMFAError, match=r"lacks gpt_neox.layers.1.input_layernorm.weight"):
        scale_values(open_source(lacking, config=source.config))
    lacking = {name: array for name, array in tensors.items() if "mlp.dense_4h_to_h.weight" not in name}
    with pytest.raises(SourceError, match=r"dense_4h_to_h.weight.*missing"):
        permute_hidden(open_source(lacking, config=source.config))
