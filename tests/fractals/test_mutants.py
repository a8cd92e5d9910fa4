"""One per cent of anything that an object states or a function of the numeric rooms returns, and the checks notice.

What is spoiled is found by looking, not listed: what an object of `fractals` computes, what a part of a published
method returns, and what one numeric room takes from another. Noticing means that a row of `verify` fails, or a case of
test_every_number.py, or what test_fractals.py states by hand; alone, `verify` notices about two in three. Its limits,
whose errors are larger than one per cent, are not asked. A few are tried in `make test`, all in `make mutants`.
"""

import dataclasses
import importlib
import inspect
import re

import networkx as nx
import numpy as np
import pytest
from test_every_number import CASES
from test_fractals import BY_HAND

from neuromfa_lite import GEODESIC, ONE_GRAPH, PAPER, PUBLISHED, SANDBOX, SCALE_FREE, NeuronNetwork, fractals
from neuromfa_lite.fractals import flower
from neuromfa_lite.fractals.verify import SECTIONS, rows_of
from neuromfa_lite.masses.count import Masses
from neuromfa_lite.method import PARTS
from neuromfa_lite.network.connections import Dense
from neuromfa_lite.spectrum import Spectrum
from neuromfa_lite.spectrum.fit import Lines
from neuromfa_lite.spectrum.partition import PartitionFunction
from neuromfa_lite.weights.matrix import WeightMatrix

HOW = ("all", "first", "last")
TRIED = 30  # in `make test`


def by_verify():
    """Whether `verify` notices, at objects of finite size."""
    checks = ((check, section) for check in ("formula", "exact", "identity") for section in SECTIONS[check])
    return any(not row.passed for each in checks for row in rows_of(*each))


def by_plain_loops():
    """Whether a case of test_every_number.py does, or one that states an object by hand."""
    for case in (*CASES, *BY_HAND):
        try:
            case()
        except Exception:  # a refusal is as good
            return True
    return False


# --- one per cent ------------------------------------------------------------------------------------------------


def spoiled(value, how="all"):
    """A value off by 1 %, or by one where it is a whole number; of several numbers all, the first or the last."""
    if value is None or isinstance(value, (bool, np.bool_, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return value + max(1, round(abs(value) / 100))
    if isinstance(value, (float, np.floating)):
        return value * 1.01 if value else 0.01
    if isinstance(value, nx.Graph):
        return spoiled_graph(value, how)
    if isinstance(value, NeuronNetwork):
        return spoiled_network(value, how)
    if isinstance(value, fractals.KnownFractal):  # sierpinski() and cantor_dust()
        return type(value)(spoiled(value.scales, how), value.generation)
    if isinstance(value, (tuple, list)) and all(isinstance(part, (int, float)) for part in value):
        return type(value)(spoiled_array(np.array(value), how).tolist())
    if isinstance(value, (tuple, list)):
        parts = [spoiled(part, how) for part in value]
        alike = all(a is b for a, b in zip(parts, value, strict=True))
        return value if alike else type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    numbers = isinstance(value, np.ndarray) and value.dtype.kind in "iuf"
    return spoiled_array(value, how) if numbers else value


def spoiled_array(values, how):
    values = np.array(values)
    picked = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}[how]
    flat = values.reshape(-1)
    if values.dtype.kind in "iu":
        flat[picked] += np.maximum(1, flat[picked] // 100).astype(values.dtype)
    else:
        flat[picked] = np.where(flat[picked] == 0, 0.01, flat[picked] * 1.01)
    return flat.reshape(values.shape)


def spoiled_graph(graph, how):
    """Its lengths off by 1 %."""
    graph = graph.copy()
    ends = list(graph.edges)
    for edge in {"all": ends, "first": ends[:1], "last": ends[-1:]}[how]:
        graph.edges[edge]["distance"] *= 1.01
    return graph


def spoiled_network(network, how):
    """Its weights off by 1 %."""
    matrix = network.blocks[0].matrix
    weights = spoiled_array(matrix.read(), how)
    matrix = WeightMatrix.from_array(matrix.name, weights, matrix.origin, dtype="float64")
    return NeuronNetwork(network.layers, [Dense(matrix.name, "weights", 0, 1, matrix)], network.origin)


def spoiling(original, how, altered, field=None):
    """A function that returns, or fills into its arguments, what is off by 1 %; of a result only one field is."""

    def changed(*given, **named):
        before = [value.copy() if isinstance(value, np.ndarray) else None for value in given]
        answer = original(*given, **named)
        for old, value in zip(before, given, strict=True):
            if old is not None and not np.array_equal(old, value, equal_nan=True):
                filled = ~((old == value) | (np.isnan(old) & np.isnan(value)))
                value[filled] = spoiled(value[filled], how)
                altered.append(True)
        was = answer if field is None else getattr(answer, field)
        now = spoiled(was, how)
        if now is not was:
            altered.append(True)
        if field is None:
            return now
        return (
            answer._replace(**{field: now})
            if hasattr(answer, "_replace")
            else dataclasses.replace(answer, **{field: now})
        )

    return changed


# --- what is spoiled ---------------------------------------------------------------------------------------------

OBJECTS = [getattr(fractals, name) for name in fractals.__all__ if name != "KnownFractal"]


def stated(thing):
    """Names of everything public that an object computes: neither its arguments nor whether there is a formula."""
    given = {"closed_form", *(field.name for field in dataclasses.fields(thing))}
    return [name for name, _ in inspect.getmembers(thing) if not name.startswith("_") and name not in given]


NUMERIC = "network.connections masses.balls masses.count masses.distances masses.geodesic masses.one_hop masses.paths"
NUMERIC += " spectrum.boxes spectrum.fit spectrum.nfd spectrum.partition"
NUMERIC = [*NUMERIC.split(), "spectrum.spectrum", "spectrum.spread", "study.measure"]
RESULTS = {"count_masses": Masses, "ball_masses": Masses}
RESULTS |= {"spectrum_of_masses": Spectrum, "spectrum_of_partition": Spectrum, "fit_lines": Lines}
RESULTS |= {"partition_of_masses": PartitionFunction}


def taken():
    """(module, name) of every function that one numeric room takes from another."""
    for module in sorted(NUMERIC):
        home = importlib.import_module(f"neuromfa_lite.{module}")
        for name, member in vars(home).items():
            other = (getattr(member, "__module__", None) or "").removeprefix("neuromfa_lite.")
            function = hasattr(member, "__name__") and not inspect.isclass(member)
            if function and other != module and (other in NUMERIC or other.startswith("kernels.")):
                yield home, name


def fields_of(function):
    """The fields with numbers of the result that a function returns; [None] where it returns or fills in numbers."""
    kind = RESULTS.get(function)
    if kind is None:
        return [None]
    return [name for name, of in inspect.get_annotations(kind).items() if re.search("ndarray|float|int", str(of))]


# What changes nothing that is measured: a path that a shorter one hides, the distance of a node to itself, counts
# outside the window or beyond the last radius, more bins than are needed, radii of a measure, cut down to half boxes.
HIDDEN = {("join_groups", "first"), ("count_rounded_reciprocals_f32", "last"), ("count_listed_distances", "last")}
# What a quantile leaves out: the shortest and the longest of all distances.
HIDDEN |= {("looked_at", how) for how in HOW}
HIDDEN |= {("total_tiles", "last"), ("geodesic_distances", "first"), ("geodesic_distances", "last")}
HIDDEN |= {(name, how) for name in ("natural_radii_of", "bins_within") for how in HOW}
# What other tests look at: which neurons a dimension is of, their mean error, the seed and the places of a sample.
ELSEWHERE = {"boxes": {"seed"}, "measure": {"seed", "places", "weight", "chosen", "content_hash", "checked_measure"}}
ELSEWHERE["boxes"] |= {"content_hash"}
ELSEWHERE["nfd"] = set("number inside places neurons_total places_total radii weight chosen".split())
ELSEWHERE["nfd"] |= {"intercept", "residuals", "standard_error", "strata_of", "normal_band"}
ELSEWHERE["measure"] |= {"degree_of_emergence", "emergence_errors"}


MUTANTS = [("object", thing, name, how) for thing in OBJECTS for name in stated(thing) for how in HOW]
MUTANTS = [each for each in MUTANTS if each[1:3] != (fractals.ParetoFanOut, "natural_radii")]  # it has none
for home, name in taken():
    known = ELSEWHERE.get(home.__name__.split(".")[-1], set())
    if name not in known:
        every = [(field, how) for field in fields_of(name) for how in HOW]
        MUTANTS += [
            ("taken", (home, field), name, how)
            for field, how in every
            if field not in known and (name, how) not in HIDDEN
        ]
PUBLISHED_METHODS = (PAPER, PUBLISHED, SCALE_FREE, GEODESIC, SANDBOX, ONE_GRAPH)
USED = sorted({(field, getattr(method, field)) for field in PARTS for method in PUBLISHED_METHODS if field != "wiring"})
MUTANTS += [("part", field, name, how) for field, name in USED for how in HOW]


def spoil(patch, mutant, altered):
    """Put a mutant in place; ``altered`` receives True when it changes a number."""
    kind, where, name, how = mutant
    if kind == "part":
        patch.setitem(PARTS[where], name, spoiling(PARTS[where][name], how, altered))
    elif kind == "taken":
        home, field = where
        patch.setattr(home, name, spoiling(getattr(home, name), how, altered, field))
    else:
        member = inspect.getattr_static(where, name)
        if isinstance(member, property):
            changed = property(spoiling(member.fget, how, altered))
        elif isinstance(member, classmethod):
            changed = classmethod(spoiling(member.__func__, how, altered))
        else:
            changed = spoiling(member, how, altered)
        patch.setattr(where, name, changed)


def label(mutant):
    kind, where, name, how = mutant
    home = f"{where[0].__name__.split('.')[-1]}.{name}.{where[1]}" if kind == "taken" else f"{where}.{name}"
    return f"{home.replace('.None', '')} {how}" if kind != "object" else f"{where.__name__}.{name} {how}"


EVERY = -(-len(MUTANTS) // TRIED)
PICKED = [pytest.param(m, marks=[pytest.mark.mutants] if n % EVERY else []) for n, m in enumerate(MUTANTS)]


@pytest.mark.parametrize("mutant", PICKED, ids=label)
def test_one_per_cent_is_noticed(mutant, monkeypatch):
    altered = []
    spoil(monkeypatch, mutant, altered)
    ways = (by_verify, by_plain_loops)
    flower._inside.cache_clear()
    found = any(way() for way in (ways if mutant[0] == "object" else ways[::-1]))
    flower._inside.cache_clear()
    # what gives words or refuses, and what the checks never call, has no number to spoil
    assert found or not altered


def test_nothing_is_noticed_unspoiled():
    assert not by_verify() and not by_plain_loops()


def test_every_kind_of_object_and_of_number_is_looked_at():
    assert {"exact_tau", "exact_alpha", "exact_f", "exact_dimension", "natural_radii"} <= set(stated(fractals.Flower))
    names = {(kind, name) for kind, _, name, _ in MUTANTS}
    assert {("taken", name) for name in ("dijkstra", "log_partition", "spectrum_of_masses", "fit_lines")} <= names
    assert {("part", "inverse"), ("part", "log-spaced"), ("object", "exact_ball")} <= names
    assert len([each for each in PICKED if not each.marks]) <= TRIED
