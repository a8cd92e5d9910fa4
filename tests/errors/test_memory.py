"""Memory: what is asked for beforehand is what is then used, and more than there is is refused."""

import tracemalloc

import numpy as np
import pytest
from twins import chain, gaussian

from neuromfa_lite import GEODESIC, PAPER, SCALE_FREE, NeuroMFAError, NeuronNetwork, analyze, confidence
from neuromfa_lite.errors import memory
from neuromfa_lite.masses import count_masses, distances, one_hop, paths
from neuromfa_lite.network import connections, graphs
from neuromfa_lite.study import bootstrap

UNDIRECTED = GEODESIC.replace(reach="geodesic-undirected")
OWN_DISTANCE = SCALE_FREE.replace(distance=lambda weights: 1 + np.abs(weights), name="own distance")
OWN_RADII = SCALE_FREE.replace(radii=lambda distances: np.quantile(distances, [0.1, 0.5, 0.9]), name="own radii")


def random_edges(edges):
    draw = np.random.default_rng(0)
    ends = draw.integers(0, 400, (2, edges))
    return NeuronNetwork.from_edges(*ends, draw.standard_normal(edges))


@pytest.fixture
def asked(monkeypatch):
    """What the rooms say that they need, in bytes."""
    found = []
    for room in (distances, graphs, one_hop, paths, bootstrap):
        monkeypatch.setattr(room, "refuse_above", lambda needed, what, way_out: found.append(needed))
    return found


@pytest.mark.parametrize(
    "network, method",
    [
        (chain(*(gaussian(500, 500, seed=seed) for seed in range(4))), OWN_RADII),
        (random_edges(200_000), OWN_RADII),
        (chain(gaussian(300, 300), gaussian(300, 300, seed=1)), UNDIRECTED),
    ],
    ids=["own radii", "edges", "both ways"],
)
def test_what_is_asked_for_is_what_is_used(network, method, asked, monkeypatch):
    monkeypatch.setattr(paths, "PANEL", 1 << 10)  # a part of memory that no network makes larger
    count_masses(network.sample(30) if len(network.layers) > 1 else network, method)  # compiles
    asked.clear()
    tracemalloc.start()
    count_masses(network, method)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * sum(asked) < used < 1.1 * sum(asked)


@pytest.mark.parametrize(
    "method", [SCALE_FREE, SCALE_FREE.replace(radii=[0.5, 1.0, 2.0])], ids=["quantiles", "numbers"]
)
def test_a_network_too_large_to_hold_takes_memory_for_a_stripe(method, monkeypatch):
    monkeypatch.setattr(memory, "UNASKED", 0)
    monkeypatch.setattr(memory, "at_hand", lambda: 1 << 20)
    monkeypatch.setattr(connections, "WEIGHTS_AT_ONCE", 1 << 14)
    monkeypatch.setenv("NEUROMFA_THREADS", "1")  # a stripe each
    used, networks = [], [chain(*(gaussian(600, 600, seed=seed) for seed in range(matrices))) for matrices in (2, 8)]
    for network in networks:
        count_masses(network.sample(30), method)  # compiles
        tracemalloc.start()
        count_masses(network, method)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] - used[0] < networks[1].connections - networks[0].connections  # less than a byte for each


def test_the_resamples_of_a_band_are_asked_for_as_they_are_used(asked, monkeypatch):
    monkeypatch.setattr(bootstrap, "LARGEST_BLOCK", 1 << 12)
    few = analyze(chain(gaussian(40, 6)), SCALE_FREE.replace(q=[-1, 0, 1]))
    confidence(few, resamples=20)
    asked.clear()
    tracemalloc.start()
    confidence(few, resamples=40_000)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * sum(asked) < used < 1.1 * sum(asked)


WHOLE = chain(gaussian(300, 20), gaussian(30, 300, seed=1))
RING = NeuronNetwork.from_edges(range(50), [*range(1, 50), 0], [0.5] * 50)


@pytest.mark.parametrize(
    "work, words",
    [
        (
            lambda: analyze(WHOLE, OWN_RADII),
            r"radii .* of method 'own radii' .* 15,000 connections: about .* needed and .* free; draw a sample.*log-sp",
        ),
        (
            lambda: analyze(WHOLE, OWN_DISTANCE),
            r"distance .* of method 'own distance' .* whole matrix of 9,000 weights: .* draw a sample.*in stripes",
        ),
        (lambda: analyze(WHOLE, PAPER), r"at up to 152 distances: .*narrow the window"),
        (lambda: analyze(WHOLE, GEODESIC), r"shortest paths through 350 neurons: .*draw a sample"),
        (lambda: analyze(WHOLE, UNDIRECTED), r"shortest paths through 350 neurons: .*draw a sample"),
        (lambda: analyze(RING, UNDIRECTED), r"shortest paths through 50 neurons: .*draw a sample"),
        (lambda: NeuronNetwork.from_edges([0], [9], [0.5]), r"10 neurons: .*without gaps"),
    ],
)
def test_more_than_there_is_is_refused_before_it_is_begun(work, words, monkeypatch):
    monkeypatch.setattr(memory, "UNASKED", 0)
    monkeypatch.setattr(memory, "at_hand", lambda: 500)
    with pytest.raises(NeuroMFAError, match=words):
        work()
    monkeypatch.setattr(memory, "at_hand", lambda: None)  # a system that does not tell
    try:
        work()
    except NeuroMFAError as error:
        assert "memory" not in str(error)


def test_a_million_resamples_that_do_not_fit_are_refused_at_once(monkeypatch):
    monkeypatch.setattr(memory, "at_hand", lambda: 1 << 30)
    with pytest.raises(NeuroMFAError, match=r"1,000,000 resamples of 185 numbers each: about 8\.3 GiB .* 1\.0 GiB"):
        confidence(WHOLE, resamples=1_000_000)


def test_a_container_has_what_its_limit_leaves(tmp_path):
    limit, statistics = tmp_path / "limit", tmp_path / "stat"
    statistics.write_text("anon 400\nfile 300\n")
    for text, left in (("1000\n", 600), ("100\n", 0), ("max\n", None)):
        limit.write_text(text)
        assert memory._of_a_container(limit, statistics, "anon") == left
    assert memory._of_a_container(tmp_path / "none", statistics, "anon") is None
    assert memory.at_hand() is None or memory.at_hand() > 0


@pytest.mark.parametrize("method", [GEODESIC, UNDIRECTED], ids=["geodesic", "both ways"])
def test_progress_is_shown_of_long_paths_only_and_changes_nothing(method, monkeypatch):
    shown = []

    def bar(parts, **words):
        shown.append(words["desc"])
        return parts

    monkeypatch.setattr(paths, "tqdm", bar)
    silent = count_masses(WHOLE, method).counts
    assert not shown
    monkeypatch.setattr(paths, "LONG", 0)
    np.testing.assert_array_equal(count_masses(WHOLE, method).counts, silent)
    assert set(shown) == {"shortest paths"}
