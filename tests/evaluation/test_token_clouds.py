"""The two measures of tokens: against plain loops, and unchanged by what leaves the model's function unchanged."""

import math

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.evaluation.measures.token_clouds import (
    angles,
    cloud_regularity,
    drawn_tokens,
    token_cloud,
    two_neighbour_dimension,
    two_neighbours,
)
from neuromfa_lite.weights import open_source


def weights_of(step):
    source = open_source(nmfa.load_run("induction").checkpoint(step))
    tensors = {name: each.read().astype(np.float64) for name, each in (source.matrices | source.vectors).items()}
    return tensors, source.config


def measured(tensors, config):
    source = open_source(tensors, config=config)
    return np.array([token_cloud(source), two_neighbours(source)])


def plain_regularity(vectors):
    """The definition in loops, of vectors as lists of numbers."""
    n = len(vectors)

    def angle(a, b):
        size = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
        return math.acos(min(1.0, abs(sum(x * y for x, y in zip(a, b, strict=True))) / size))

    table = [[0.0 if i == j else angle(vectors[i], vectors[j]) for j in range(n)] for i in range(n)]
    pairs = sorted(table[i][j] for i in range(n) for j in range(i + 1, n))
    middle = float(np.median(pairs))
    low, high = (float(np.quantile(pairs, share)) / middle for share in (0.01, 0.5))
    # the smallest and the largest radius may be distances themselves: taken as the package has them, to the last bit
    radii = np.geomspace(low, high, 16).tolist()
    x = [math.log(r) for r in radii]
    mean = sum(x) / 16
    slopes = []
    for i, row in enumerate(table):
        inside = [1 + sum(d / middle <= r for j, d in enumerate(row) if j != i) for r in radii]
        y = [math.log(count / n) for count in inside]
        slopes.append(sum((a - mean) * b for a, b in zip(x, y, strict=True)) / sum((a - mean) ** 2 for a in x))
    return sum(slopes) / n


def test_regularity_of_a_cloud_equals_plain_loops():
    vectors = np.random.default_rng(3).standard_normal((23, 4))
    assert cloud_regularity(vectors) == pytest.approx(plain_regularity(vectors.tolist()), rel=1e-12)


def test_two_neighbour_dimension_of_directions_in_a_plane_is_one_and_in_space_two():
    # ln(r2/r1) is exponential with mean 1/d; without its largest tenth the mean is (1 - .1 (1 + ln 10))/.9 of that
    kept = (1 - 0.1 * (1 + math.log(10))) / 0.9
    draw = np.random.default_rng(0)
    for columns in (2, 3, 4):
        found = np.mean([two_neighbour_dimension(draw.standard_normal((400, columns))) for _ in range(10)])
        assert found == pytest.approx((columns - 1) / kept, rel=0.06)  # three standard errors of 4,000 ratios


def test_two_neighbour_dimension_equals_plain_loops():
    vectors = np.random.default_rng(5).standard_normal((40, 5))
    table, ratios = angles(vectors), []
    for i in range(40):
        first, second = sorted(table[i][j] for j in range(40) if j != i)[:2]
        ratios.append(math.log(second / first))
    kept = sorted(ratios)[:36]
    assert two_neighbour_dimension(vectors) == pytest.approx(36 / sum(kept), rel=1e-12)


@pytest.mark.parametrize("step", [0, 724])
def test_both_are_unchanged_by_what_leaves_the_function_as_it_is(step):
    tensors, config = weights_of(step)
    before = measured(tensors, config)
    changed = {name: each.copy() for name, each in tensors.items()}
    for block in range(2):
        base = f"gpt_neox.layers.{block}."
        fused = changed[base + "attention.query_key_value.weight"].reshape(4, 3, 16, 64)
        fused[:, 0] *= 3
        fused[:, 1] /= 3
        fused[:, 2] *= 5
        changed[base + "attention.dense.weight"] /= 5
        gain = changed[base + "input_layernorm.weight"]
        changed[base + "attention.query_key_value.weight"] *= gain
        changed[base + "input_layernorm.weight"] = np.ones(64)
    changed["lm_head.weight"] *= changed["gpt_neox.final_layer_norm.weight"]
    changed["gpt_neox.final_layer_norm.weight"] = np.ones(64)
    assert measured(changed, config) == pytest.approx(before, rel=1e-9)


def test_both_ignore_a_common_factor_and_feel_the_embedding():
    tensors, config = weights_of(724)
    before = measured(tensors, config)
    assert measured({name: 3 * each for name, each in tensors.items()}, config) == pytest.approx(before, rel=1e-9)
    mixed = dict(tensors)
    mixed["gpt_neox.embed_in.weight"] = np.random.default_rng(0).permuted(tensors["gpt_neox.embed_in.weight"], axis=1)
    assert (np.abs(measured(mixed, config) - before) > 0.01).all()


def test_the_draw_is_named_by_its_seed():
    assert (drawn_tokens(60) == np.arange(60)).all()
    first, again, other = drawn_tokens(512), drawn_tokens(512), drawn_tokens(512, seed=1)
    assert (first == again).all() and (first != other).any() and len(np.unique(first)) == 256


def test_errors_name_what_is_wrong():
    tensors, config = weights_of(0)
    bad = dict(tensors) | {"lm_head.weight": np.full((64, 64), np.nan)}
    with pytest.raises(NeuroMFAError, match=r"lm_head.weight.*NaN"):
        measured(bad, config)
    with pytest.raises(SourceError, match="no token embedding"):
        measured({name: each for name, each in tensors.items() if "embed_in" not in name}, config)
    with pytest.raises(SourceError, match=r"final_layer_norm.weight, the gain"):
        measured({name: each for name, each in tensors.items() if "final_layer_norm" not in name}, config)
    with pytest.raises(NeuroMFAError, match="zero and have no direction"):
        cloud_regularity(np.zeros((4, 2)))
