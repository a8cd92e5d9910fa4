"""Baselines: against plain loops and matrices whose numbers are known."""

import math

import numpy as np
import pytest
from twins import chain, gaussian

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation.controls import permuted_outgoing, scaled
from neuromfa_lite.evaluation.measures.baselines import (
    BASELINES,
    kurtosis,
    log_step,
    mean_weighted_degree,
    measure_baselines,
    minus_effective_rank,
    minus_stable_rank,
    spectral_norm,
    weight_deviation,
)
from neuromfa_lite.network.network import NeuronNetwork


def plain(rows):
    """Deviation, degree and kurtosis of a matrix as lists, in loops."""
    values = [w for row in rows for w in row]
    n, mean = len(values), math.fsum(values) / len(values)
    second, fourth = (math.fsum((w - mean) ** power for w in values) / n for power in (2, 4))
    degree = math.fsum(abs(w) for w in values) / len(rows[0])
    return math.sqrt(second), degree, fourth / second**2 - 3


def rotated(values, rows, columns, seed=0):
    """A matrix of these singular values, between random orthogonal matrices."""
    draw = np.random.default_rng(seed)
    left, right = (np.linalg.qr(draw.standard_normal((size, size)))[0] for size in (rows, columns))
    return left[:, : len(values)] * values @ right[: len(values)]


@pytest.mark.small
def test_deviation_degree_and_kurtosis_equal_plain_loops():
    matrices = [gaussian(7, 5, seed=1, dtype=float), gaussian(4, 7, seed=2, deviation=2.0, dtype=float)]
    expected = np.mean([plain(matrix.tolist()) for matrix in matrices], axis=0)
    network = chain(*matrices)
    found = [weight_deviation(network), mean_weighted_degree(network), kurtosis(network)]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.small
def test_singular_values_that_are_known():
    # values 4, 2, 2: stable rank 24/16; shares 1/2, 1/4, 1/4 have entropy (3/2) ln 2
    network = chain(rotated([4.0, 2.0, 2.0], 6, 5))
    assert spectral_norm(network) == pytest.approx(4, rel=1e-12)
    assert minus_stable_rank(network) == pytest.approx(-1.5, rel=1e-12)
    assert minus_effective_rank(network) == pytest.approx(-(2**1.5), rel=1e-9)
    two = chain(rotated([1.0], 6, 5), rotated([3.0] * 6, 7, 6))  # each matrix counts once
    found = [each(two) for each in (spectral_norm, minus_stable_rank, minus_effective_rank)]
    assert found == pytest.approx([2, -3.5, -3.5], rel=1e-9)


@pytest.mark.small
def test_kurtosis_of_known_distributions():
    assert kurtosis(chain(np.array([[1.0, -1.0], [-1.0, 1.0]]))) == -2
    assert kurtosis(chain(gaussian(400, 300, dtype=float))) == pytest.approx(0, abs=5 * math.sqrt(24 / 120_000))


def test_they_measure_the_twelve_matrices_of_the_blocks():
    checkpoint = nmfa.load_run("induction").checkpoint(724)
    blocks = nmfa.load_network(checkpoint).weight_blocks
    assert [block.role for block in blocks[:6]] == "query key value attention-output mlp-in mlp-out".split()
    expected = np.mean([block.weights().astype(float).std() for block in blocks])
    assert len(blocks) == 12 and weight_deviation(checkpoint) == pytest.approx(expected, rel=1e-12)


def test_all_at_once_are_the_single_ones():
    for step in (0, 724):
        checkpoint = nmfa.load_run("induction").checkpoint(step)
        assert measure_baselines(checkpoint) == {name: each(checkpoint) for name, each in BASELINES.items()}


def test_every_baseline_rises_over_the_training_of_induction():
    run = nmfa.load_run("induction")
    first, last = (measure_baselines(run.checkpoint(step)) for step in (0, 724))
    assert all(last[name] > first[name] for name in BASELINES)


def test_what_a_common_factor_and_a_permutation_do():
    checkpoint = nmfa.load_run("induction").checkpoint(724)
    changed = (checkpoint, scaled(checkpoint, 2), permuted_outgoing(checkpoint))
    before, doubled, permuted = map(measure_baselines, changed)
    for name in ("weight_deviation", "mean_weighted_degree", "spectral_norm"):
        assert doubled[name] == pytest.approx(2 * before[name], rel=1e-12)
    for name in ("minus_stable_rank", "minus_effective_rank", "kurtosis", "log_step"):
        assert doubled[name] == pytest.approx(before[name], rel=1e-9)
    for name in ("weight_deviation", "mean_weighted_degree", "kurtosis", "log_step"):
        assert permuted[name] == pytest.approx(before[name], rel=1e-9)
    assert abs(permuted["minus_stable_rank"] - before["minus_stable_rank"]) > 0.1


@pytest.mark.small
def test_log_step():
    checkpoint = nmfa.load_run("induction").checkpoint(128)
    assert log_step(checkpoint) == pytest.approx(math.log(129), rel=1e-15)
    with pytest.raises(NeuroMFAError, match="no step"):
        log_step(nmfa.load_network(checkpoint))


@pytest.mark.small
def test_errors_name_the_matrix():
    for weight, said in ((np.nan, "NaN"), (0.0, "zeros"), (1.0, "all alike")):
        with pytest.raises(NeuroMFAError, match=f"'matrix 0'.*{said}"):
            kurtosis(chain(np.full((3, 2), weight)))
    with pytest.raises(NeuroMFAError, match="list of edges"):
        minus_stable_rank(NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, 0.1]))
