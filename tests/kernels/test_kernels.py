"""The numba kernels against the arithmetic they replace, on every input that could tell them apart."""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
from bisect import bisect_left
from hashlib import sha1
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromfa_lite import kernels
from neuromfa_lite.cli import doctor
from neuromfa_lite.kernels import geodesic
from neuromfa_lite.kernels.one_hop import (
    LANES,
    count_distances,
    count_listed_distances,
    count_rounded_reciprocals_f32,
    count_rounded_reciprocals_f64,
    cumulate,
    cumulate_tiles,
    log_ratio_to_final,
    total_tiles,
)
from neuromfa_lite.kernels.partition import log_partition
from neuromfa_lite.kernels.product import multiply

KERNELS = {np.dtype(np.float32): count_rounded_reciprocals_f32, np.dtype(np.float64): count_rounded_reciprocals_f64}
PAPER_WINDOW, WIDE_WINDOW = (1.0, 150.0), (0.0, 200.0)


def expected_bins(weights, low, high):
    """round(1/|w|), halves to even, in double; the bin after the largest radius for all outside low < d <= high."""
    with np.errstate(divide="ignore", over="ignore"):
        distances = 1.0 / np.abs(weights.astype(np.float64))
    inside = (distances > low) & (distances <= high)
    return np.where(inside, np.rint(np.where(inside, distances, 0.0)), round(high) + 1).astype(np.int64)


def in_tiles(histogram):
    """A histogram (neurons, bins) the way the kernels hold it: (tiles, bins, 64), what is over filled with zeros."""
    neurons, bins = histogram.shape
    padded = np.zeros((-(-neurons // LANES) * LANES, bins), np.uint32)
    padded[:neurons] = histogram
    return np.ascontiguousarray(padded.reshape(-1, LANES, bins).transpose(0, 2, 1))


def count(weights, low, high, tiles=None):
    """The kernel's histogram as (neurons, bins), what it returns, and the tiles, which it may be given to add to."""
    tiles = in_tiles(np.zeros((weights.shape[1], round(high) + 2), np.uint32)) if tiles is None else tiles
    returned = KERNELS[weights.dtype](weights, low, high, tiles)
    rows = tiles.transpose(0, 2, 1).reshape(-1, tiles.shape[1])
    assert not rows[weights.shape[1] :].any()
    return rows[: weights.shape[1]], returned, tiles


def kernel_bins(weights, low, high):
    """The bin that the kernel gives to each weight: every weight is the only one of its neuron."""
    histogram = count(weights.reshape(1, -1), low, high)[0]
    assert (histogram.sum(axis=1) == 1).all()
    return histogram.argmax(axis=1)


def patterns(start, stop, step=1):
    """All float32 numbers start <= w < stop, or every step-th, as the bit patterns go."""
    first, last = (int(np.float32(value).view(np.uint32)) for value in (start, stop))
    return np.arange(first, last, step, dtype=np.uint32).view(np.float32)


def around(values, distance):
    """Each float32 value and its neighbours up to `distance` patterns away on both sides."""
    centres = np.asarray(values, np.float32).view(np.uint32).astype(np.int64)
    steps = np.arange(-distance, distance + 1)
    return (centres[:, None] + steps).ravel().astype(np.uint32).view(np.float32)


# where a weight is counted


@pytest.mark.small
@pytest.mark.parametrize("low, high", [PAPER_WINDOW, WIDE_WINDOW])
def test_bins_are_right_on_both_sides_of_every_boundary(low, high):
    edges = np.concatenate([np.arange(0.5, high + 2), np.arange(1.0, high + 2)])
    weights = around(1.0 / edges, 3)
    weights = np.concatenate([weights, -weights])
    np.testing.assert_array_equal(kernel_bins(weights, low, high), expected_bins(weights, low, high))


@pytest.mark.parametrize("low, high", [PAPER_WINDOW, WIDE_WINDOW])
def test_bins_are_right_far_around_every_boundary(low, high):
    edges = np.concatenate([np.arange(0.5, high + 2), np.arange(1.0, high + 2)])
    weights = around(1.0 / edges, 100)
    np.testing.assert_array_equal(kernel_bins(weights, low, high), expected_bins(weights, low, high))


@pytest.mark.parametrize("low, high", [PAPER_WINDOW, WIDE_WINDOW])
def test_bins_are_right_for_float32_numbers_of_every_size(low, high):
    weights = patterns(1e-45, np.inf, step=12_289)  # a prime, so that no bit stays the same
    for part in np.array_split(weights, 8):
        np.testing.assert_array_equal(kernel_bins(part, low, high), expected_bins(part, low, high))


def test_every_float32_number_in_the_window_is_counted_once_in_its_bin():
    """All 69 million: stretches of neighbours, small enough to lie in two bins at most, as one neuron each."""
    neurons, stretch = 256, 1024
    weights = patterns(1 / 160, 2.0)
    weights = weights[: weights.size // (neurons * stretch) * neurons * stretch]
    for block in np.split(weights, weights.size // (neurons * stretch)):
        columns = np.ascontiguousarray(block.reshape(neurons, stretch).T)
        histogram = count(columns, 1.0, 150.0)[0]
        bins = expected_bins(columns, 1.0, 150.0) + np.arange(neurons) * 152
        assert np.array_equal(histogram.ravel(), np.bincount(bins.ravel(), minlength=neurons * 152))


@pytest.mark.small
def test_every_half_precision_number_is_counted_in_its_bin():
    weights = np.arange(1 << 16, dtype=np.uint16).view(np.float16)[::7].astype(np.float32)
    weights = weights[np.isfinite(weights)]
    np.testing.assert_array_equal(kernel_bins(weights, *PAPER_WINDOW), expected_bins(weights, *PAPER_WINDOW))


def test_every_bfloat16_number_is_counted_in_its_bin():
    weights = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    weights = weights[np.isfinite(weights)]
    np.testing.assert_array_equal(kernel_bins(weights, *PAPER_WINDOW), expected_bins(weights, *PAPER_WINDOW))


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low, high", [(1.0, 2.0), (2.0, 128.0), (0.5, 64.0), (0.25, 1.0)])
def test_the_ends_of_a_window_that_are_powers_of_two_are_exact(low, high, dtype):
    weights = np.array([1 / low, -1 / low, 1 / high, -1 / high], dtype)
    outside, last = round(high) + 1, round(high)
    assert kernel_bins(weights, low, high).tolist() == [outside, outside, last, last]


@pytest.mark.small
def test_double_precision_rounds_halves_to_even_and_keeps_the_window():
    weights = np.array([0.4, 0.08, 1 / 3.5, 1.0, np.nextafter(1.0, 0), 1 / 150, 0.0066666, 0.0, 5e-324])
    assert [1 / 0.4, 1 / 0.08] == [2.5, 12.5]
    assert kernel_bins(weights, *PAPER_WINDOW).tolist() == [2, 12, 4, 151, 1, 150, 151, 151, 151]
    assert [round(1 / w) for w in weights[:3]] == [2, 12, 4]


@pytest.mark.small
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20))
@settings(deadline=None, max_examples=40)
def test_double_precision_agrees_with_python(values):
    weights = np.array(values)
    for low, high in (PAPER_WINDOW, WIDE_WINDOW):
        expected = []
        for w in values:
            d = 1 / abs(w) if abs(w) > 1e-300 else math.inf
            expected.append(round(d) if low < d <= high else round(high) + 1)
        assert kernel_bins(weights, low, high).tolist() == expected


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_are_no_numbers_are_counted_apart(dtype):
    weights = np.array([[np.nan, 0.5], [np.inf, -0.0], [-np.inf, 0.25]], dtype)
    histogram, returned, _ = count(weights, 1.0, 150.0)
    assert returned == (3, 2)
    assert histogram[0, 151] == 3 and histogram[0, :151].sum() == 0
    assert np.flatnonzero(histogram[1]).tolist() == [2, 4, 151]


# how many are counted


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (3, 64), (5, 65), (300, 70), (513, 2)])
def test_no_row_and_no_column_is_dropped(dtype, shape):
    weights = (np.random.default_rng(3).standard_normal(shape) * 0.05).astype(dtype)
    histogram, returned, _ = count(weights, 1.0, 150.0)
    assert returned == (0, weights.size)
    for source in range(shape[1]):
        expected = np.bincount(expected_bins(weights[:, source], 1.0, 150.0), minlength=152)
        np.testing.assert_array_equal(histogram[source], expected)


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_of_several_matrices_add_up(dtype):
    weights = (np.random.default_rng(4).standard_normal((12, 3)) * 0.05).astype(dtype)
    at_once, _, tiles = count(weights, 1.0, 150.0)
    _, _, in_parts = count(weights[:5], 1.0, 150.0)
    count(weights[5:], 1.0, 150.0, in_parts)
    np.testing.assert_array_equal(tiles, in_parts)
    assert at_once.sum() == weights.size


@pytest.mark.small
@given(st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=12, unique=True), st.data())
@settings(deadline=None, max_examples=40)
def test_a_distance_falls_to_the_smallest_radius_that_reaches_it(radii, data):
    radii = sorted(radii)
    near = st.sampled_from(radii)  # a distance that IS a radius belongs to that radius
    distances = data.draw(st.lists(near | st.floats(0, 12) | st.just(math.nan), min_size=1, max_size=20))
    expected = np.zeros(len(radii) + 1, np.uint32)
    for d in distances:
        expected[len(radii) if math.isnan(d) else bisect_left(radii, d)] += 1
    dense, listed = np.zeros((1, len(radii) + 1), np.uint32), np.zeros((1, len(radii) + 1), np.uint32)
    count_distances(np.array(distances)[:, None], np.array(radii), dense)
    count_listed_distances(np.array(distances), np.zeros(len(distances), np.int64), np.array(radii), listed)
    assert dense[0].tolist() == listed[0].tolist() == expected.tolist()


@pytest.mark.small
def test_listed_distances_are_counted_for_their_source():
    histogram = np.zeros((3, 3), np.uint32)
    sources = np.array([2, 0, 2, 2])
    count_listed_distances(np.array([1.0, 2.0, 1.5, 9.0]), sources, np.array([1.0, 2.0]), histogram)
    assert histogram.tolist() == [[0, 1, 0], [0, 0, 0], [1, 1, 1]]


@pytest.mark.small
@pytest.mark.parametrize("neurons", [1, 31, 32, 33, 64, 70, 150])
def test_masses_are_the_bins_added_up_to_the_last_one_of_each_radius(neurons):
    draw = np.random.default_rng(neurons)
    histogram = draw.integers(0, 4, (neurons + 5, 9), dtype=np.uint32)
    taken = np.sort(draw.choice(neurons + 5, neurons, replace=False))
    last_bins = np.array([0, 0, 3, 4, 7])
    counts = np.empty((5, neurons), np.uint32)
    cumulate(histogram, taken, last_bins, counts)
    expected = 1 + histogram[taken].cumsum(axis=1)[:, last_bins]
    np.testing.assert_array_equal(counts.T, expected)
    cumulate_tiles(in_tiles(histogram), taken, last_bins, again := np.empty_like(counts))
    np.testing.assert_array_equal(again.T, expected)


@pytest.mark.small
def test_the_bins_of_neurons_with_enough_connections_are_added_up():
    histogram = np.array([[1, 0, 2, 9], [0, 0, 2, 0], [4, 1, 0, 7]], np.uint32)  # the last bin is outside the window
    degrees, occurring = np.empty((1, LANES), np.int64), np.zeros(3, np.int64)
    total_tiles(in_tiles(histogram), 3, degrees, occurring)
    assert degrees[0].tolist() == [3, 2, 5] + [0] * 61 and occurring.tolist() == [5, 1, 2]


@pytest.mark.small
def test_log_masses_are_logarithms_of_the_ratio_to_the_final_mass():
    counts = np.array([[1, 3, 12], [5, 5, 5], [2, 1000, 4000]], np.uint32)
    turned = np.empty(counts.shape[::-1])
    log_ratio_to_final(np.ascontiguousarray(counts.T), np.log(np.maximum(np.arange(4001), 1)), turned)
    logs = turned.T
    expected = [[math.log(n / row[-1]) for n in row] for row in counts.tolist()]
    np.testing.assert_allclose(logs, expected, rtol=0, atol=2e-15)
    assert (logs[:, -1] == 0).all()


# the partition function


def direct(log_mu, q):
    """ln sum exp(q ln mu) and its derivative, exponential by exponential, in extended precision where there is one."""
    powers = np.longdouble(q)[:, None, None] * log_mu.astype(np.longdouble).T[None]
    top = powers.max(axis=2, keepdims=True)
    share = np.exp(powers - top)
    total = share.sum(axis=2)
    return top[:, :, 0] + np.log(total), (share * log_mu.T[None]).sum(axis=2) / total


def check(log_mu, q, tolerance=1e-12):
    log_mu, q = np.ascontiguousarray(log_mu, np.float64), np.asarray(q, np.float64)
    log_z, mean_log = np.empty((len(q), log_mu.shape[1])), np.empty((len(q), log_mu.shape[1]))
    log_partition(np.ascontiguousarray(log_mu.T), q, log_z, mean_log, None)
    expected_z, expected_mean = direct(log_mu, q)
    np.testing.assert_allclose(log_z, expected_z.astype(float), rtol=1e-15, atol=tolerance)
    np.testing.assert_allclose(mean_log, expected_mean.astype(float), rtol=1e-14, atol=10 * tolerance)
    assert np.ptp(log_z[q == 0]) == 0 if (q == 0).any() else True  # ln n, the same number at every radius
    return log_z


PAPER_Q = (np.arange(61) - 30) / 10


@pytest.mark.small
@pytest.mark.parametrize("q", [PAPER_Q, [0.0], [2.0], [-3.0], [1e-9, 0.3], [-1.0, 0.0, 1.0]])
@pytest.mark.parametrize("neurons", [1, 2, 7])
def test_partition_of_ordinary_masses(q, neurons):
    draw = np.random.default_rng(neurons)
    check(-np.sort(draw.exponential(1.0, (neurons, 5)))[:, ::-1], q)


@pytest.mark.small
def test_partition_of_equal_masses():
    log_z = check(np.full((4, 3), -1.25), PAPER_Q)
    np.testing.assert_allclose(log_z, (math.log(4) - 1.25 * PAPER_Q)[:, None] * np.ones(3), atol=2e-15)


@pytest.mark.small
@pytest.mark.parametrize("final", [2.0, 6.5, 6.7, 12.0, 40.0])
def test_partition_over_short_and_long_ranges(final):
    """At |q| = 3 a range of 13.3 in ln mu is where the series gives way to exponentials."""
    draw = np.random.default_rng(1)
    check(-draw.uniform(0, final, (6, 4)) * [1.0, 0.5, 0.1, 0.0], PAPER_Q)


@pytest.mark.parametrize("depth", [0.5, 3.0, 6.6, 10.0, 13.0, 30.0])
@pytest.mark.parametrize("outlier_is", ["low", "high"])
def test_partition_with_one_outlier_among_a_hundred_thousand(depth, outlier_is):
    log_mu = np.zeros((100_000, 3))
    log_mu[:] = [-depth if outlier_is == "high" else 0.0, -depth / 2, 0.0]
    log_mu[517, 0] = 0.0 if outlier_is == "high" else -depth
    log_mu[11, 1] = 0.0
    check(log_mu, [-3.0, -2.1, -0.5, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 1.7, 3.0])


def test_partition_of_many_neurons_with_two_extremes():
    """Half the neurons at each end of the longest range the series takes: its terms are largest, nothing cancels."""
    log_mu = np.zeros((20_000, 2))
    log_mu[::2, 0], log_mu[::2, 1] = -40 / 3, -39.9 / 3
    check(log_mu, PAPER_Q)


@pytest.mark.small
@given(st.lists(st.lists(st.floats(-9, 0), min_size=2, max_size=2), min_size=1, max_size=9), st.floats(-6, 6))
@settings(deadline=None, max_examples=60)
def test_partition_of_anything(rows, q):
    check(np.array(rows), [q, -q / 2, 0.0])


# the product of two matrices


@pytest.mark.small
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (4, 2, 9), (3, 7, 4), (8, 9, 17), (3, 0, 2)])
def test_a_product_is_summed_from_the_first_term_to_the_last(shape):
    rows, terms, columns = shape
    draw = np.random.default_rng(0)
    left, right = draw.normal(size=(rows, terms)), draw.normal(size=(terms, columns))
    product = np.full((rows, columns), 7.0)
    multiply(left, right, product)
    expected = np.zeros((rows, columns))
    for k in range(terms):
        expected += left[:, k, None] * right[k]
    np.testing.assert_array_equal(product, expected)


# the cache of compiled kernels


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "other": lambda path: path.write_bytes(b"no kernel" * 50),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A function that gives a kernel the way a new session finds it: not compiled, but perhaps in the cache."""
    monkeypatch.setattr(kernels, "CACHES", [])
    source = tmp_path / "kernel_of_this_test.py"
    source.write_text(
        "from neuromfa_lite.kernels import njit\n\n\n@njit(cache=True)\ndef twice(x):\n    return 2 * x\n"
    )

    def begin():
        spec = importlib.util.spec_from_file_location(source.stem, source)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, source.stem, module)
        spec.loader.exec_module(module)
        return module.twice

    return begin


def doctor_on_cache():
    (line,) = [line for line in doctor.check()["checks"] if line["what"] == "kernel cache"]
    return line


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_damaged_cache_is_compiled_again(damage, suffix, session):
    first = session()
    assert first(3) == 6
    assert doctor_on_cache()["ok"]
    (path,) = Path(first._cache.cache_path).glob(f"*twice*{suffix}")
    DAMAGES[damage](path)
    found = doctor_on_cache()
    assert not found["ok"] and "twice" in found["found"] and "compiles it again" in found["found"]
    assert session()(3) == 6
    third = session()
    assert third(3) == 6
    if damage != "folder":  # in the way of a file, it is left alone, and every session compiles for itself
        assert third.stats.cache_hits
        assert doctor_on_cache()["ok"]


def test_doctor_says_where_no_cache_can_be_written(session, tmp_path, monkeypatch):
    session()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    found = doctor_on_cache()
    assert not found["ok"] and "file is no folder that can be written" in found["found"]
    monkeypatch.setattr(kernels, "CACHES", [])
    found = doctor_on_cache()
    assert not found["ok"] and "set NUMBA_CACHE_DIR" in found["found"]


def command(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "neuromfa_lite", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(kernels.__file__).parents[2]), **environment},
    )


def test_no_command_ends_because_of_a_damaged_cache(tmp_path):
    """Once it was "Aborted!", which is what the command line says to an EOFError."""
    assert command("analyze", "induction@724").returncode == 0  # all it needs lies in the cache
    cached = Path(cumulate_tiles._cache.cache_path)
    folder = f"kernels_{sha1(str(Path(kernels.__file__).parent).encode()).hexdigest()}"  # where numba looks
    shutil.copytree(cached, tmp_path / folder, ignore=lambda _, names: {name for name in names if ".nb" not in name})
    damaged = list((tmp_path / folder).glob("one_hop.cumulate_tiles-*.nbi"))
    assert damaged
    for path in damaged:
        path.write_bytes(b"")
    done = command("analyze", "induction@724", NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0 and "alpha0" in done.stdout, done.stderr


@pytest.mark.parametrize("named", ["0", "-1", "many"])
def test_no_number_of_threads_for_numba_is_one_line(named):
    done = command("analyze", "induction@724", NUMBA_NUM_THREADS=named)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"Error: NUMBA_NUM_THREADS={named!r} is no number of threads")


@pytest.mark.small
@pytest.mark.parametrize("limit", [geodesic.NO_LIMIT, 1.5])
def test_rounds_of_equal_steps_are_dijkstras_paths(limit):
    random = np.random.default_rng(0)
    sources, neighbours = np.sort(random.integers(0, 30, 90)), random.integers(0, 30, 90)
    starts = np.searchsorted(sources, np.arange(31))
    found, expected = np.empty((2, 30))
    for source in range(30):
        geodesic.dijkstra(starts, neighbours, np.full(90, 0.5), source, limit, expected)
        geodesic.walk_in_rounds(starts, neighbours, 0.5, source, limit, found)
        within = expected <= limit
        np.testing.assert_array_equal(found[within], expected[within])
        assert not (found[~within] <= limit).any()
