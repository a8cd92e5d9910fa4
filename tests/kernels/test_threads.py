"""Threads: how many there are, that they work at once, and that no result knows how many there were."""

import os
import threading

import numpy as np
import pytest
from twins import chain, gaussian

import neuromfa_lite as nmfa
from neuromfa_lite import GEODESIC, PAPER, SCALE_FREE, NeuroMFAError
from neuromfa_lite.cli import doctor
from neuromfa_lite.kernels import threads as parallel
from neuromfa_lite.masses import one_hop
from neuromfa_lite.spectrum import partition, spread


@pytest.fixture(params=[1, 2, 8])
def threads(request, monkeypatch):
    monkeypatch.setenv("NEUROMFA_THREADS", str(request.param))
    return request.param


@pytest.fixture
def everything_is_shared(monkeypatch):
    """However small the work is."""
    for module in (one_hop, partition, spread):
        monkeypatch.setattr(module, "SHARED_FROM", 1)


@pytest.mark.small
def test_as_many_threads_work_at_once_as_are_named(threads):
    everybody, seen = threading.Barrier(threads, timeout=60), set()

    def work(part):
        everybody.wait()  # for the others: fewer threads than parts would wait for ever
        seen.add(threading.get_ident())

    parallel.together(work, range(threads))
    assert len(seen) == threads
    parallel.together(lambda part: seen.add(threading.get_ident()), range(50))
    assert len(seen) == threads


@pytest.mark.small
@pytest.mark.parametrize("named", ["0", "-1", "2.5", "many", "999999"])
def test_no_number_of_threads_is_refused(named, monkeypatch):
    monkeypatch.setenv("NEUROMFA_THREADS", named)
    with pytest.raises(NeuroMFAError, match=f"NEUROMFA_THREADS='{named}' is no number of threads"):
        parallel.together(print, [1, 2])


@pytest.mark.small
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
@pytest.mark.parametrize(
    ("allowed", "files", "expected"),
    [
        (6, [], 6),
        (6, ["max 100000\n"], 6),
        (6, ["150000 100000\n"], 2),
        (6, ["20000 100000\n"], 1),
        (1, ["800000 100000\n"], 1),
        (6, ["400000\n", "100000\n"], 4),
        (6, ["-1\n", "100000\n"], 6),
    ],
)
def test_threads_are_the_processors_that_may_be_used(allowed, files, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROMFA_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(allowed)))
    places = [str(tmp_path / str(number)) for number in range(len(files))]
    for place, text in zip(places, files, strict=True):
        (tmp_path / place).write_text(text)
    monkeypatch.setattr(parallel, "SHARES", ((str(tmp_path / "none"),), tuple(places)) if places else ())
    parallel._share_of_container.cache_clear()
    try:
        assert parallel.threads() == expected
        (line,) = [line for line in doctor.check()["checks"] if line["what"] == "threads"]
        assert line["ok"] and line["found"].startswith(f"{expected} used")
    finally:
        parallel._share_of_container.cache_clear()


MANY = chain(*(gaussian(70, 70, seed=seed) for seed in range(9)))


def follow():
    return nmfa.follow(nmfa.load_run("induction"), samples=2, neurons_per_layer=16, steps=[0, 724])


def numbers_of(result, names):
    return [np.asarray(getattr(result, name)) for name in names]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda: numbers_of(nmfa.analyze(MANY, PAPER).masses, ["radii", "counts"]), id="one hop"),
        pytest.param(lambda: numbers_of(nmfa.analyze(MANY, SCALE_FREE).masses, ["radii", "counts"]), id="any distance"),
        pytest.param(lambda: numbers_of(nmfa.analyze(MANY, GEODESIC), ["log_partition", "tau"]), id="paths"),
        pytest.param(lambda: numbers_of(nmfa.analyze(MANY), ["log_partition", "tau", "alpha", "f"]), id="partition"),
        pytest.param(lambda: [nmfa.analyze(MANY).band(name) for name in ("tau", "alpha", "f", "width")], id="bands"),
        pytest.param(lambda: numbers_of(follow(), ["alpha0", "width", "emergence", "emergence_error"]), id="follow"),
    ],
)
def test_no_result_knows_how_many_threads_there_were(ask, everything_is_shared, monkeypatch):
    results = []
    for number in ("1", "2", "8", "8"):
        monkeypatch.setenv("NEUROMFA_THREADS", number)
        results.append(ask())
    for other in results[1:]:
        for one, another in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, another)
