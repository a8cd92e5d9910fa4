"""One per cent of anything that an object states or an estimator returns makes verify fail: nothing is left out.

What is to be checked is found by looking, not listed: a new formula without a check of its own fails here. Every 24th
spoiled number is tried in `make test`, all the others in `make mutants`.
"""

import dataclasses
import inspect

import networkx as nx
import numpy as np
import pytest

from neuromfa_lite import (
    blocks,
    boxes,
    dimension,
    fractals,
    geodesic,
    neuron_bands,
    one_hop,
    partition,
    paths,
    spectrum,
    study,
)
from neuromfa_lite import verification as verify
from neuromfa_lite.blocks import WeightBlock
from neuromfa_lite.masses import Masses
from neuromfa_lite.method import GEODESIC, ONE_GRAPH, PAPER, PARTS, PUBLISHED, SANDBOX, SCALE_FREE
from neuromfa_lite.network import NeuronNetwork
from neuromfa_lite.partition import PartitionFunction
from neuromfa_lite.regression import Lines
from neuromfa_lite.sources.matrix import WeightMatrix
from neuromfa_lite.spectrum import Spectrum

OBJECTS = {fractals.Cascade: "cascade", fractals.Flower: "flower", fractals.WeightedFractal: "weighted"}
OBJECTS |= {fractals.Lattice: "lattice", fractals.Ring: "ring", fractals.ParetoFanOut: "pareto"}
HOW = ("all", "first", "last")


def spread(cases):
    """The cases as parameters, all but every 24th left to `make mutants`."""
    return [pytest.param(*case, marks=[pytest.mark.mutants] if n % 24 else []) for n, case in enumerate(cases)]


def each_way(*cases):
    return spread([(*case, how) for case in cases for how in HOW])


def spoiled(value, how="all"):
    """A value off by 1 %, or by one where it is a whole number; of several numbers all, the first or the last."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return value
    if isinstance(value, (int, np.integer)):
        return value + max(1, round(abs(value) / 100))
    if isinstance(value, (float, np.floating)):
        return value * 1.01 if value else 0.01
    if isinstance(value, (tuple, list)):
        return type(value)(spoiled_array(np.array(value), how).tolist())
    return spoiled_array(value, how)


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
    return NeuronNetwork(network.layers, [WeightBlock(matrix.name, "weights", 0, 1, matrix)], network.origin)


def spoiled_answer(answer, how, which=None):
    if isinstance(answer, nx.Graph):
        return spoiled_graph(answer, how)
    if isinstance(answer, NeuronNetwork):
        return spoiled_network(answer, how)
    if isinstance(answer, fractals.KnownFractal):  # sierpinski() and cantor_dust()
        return type(answer)(spoiled(answer.scales, how), answer.generation)
    if which is not None:
        return tuple(spoiled(part, how) if number == which else part for number, part in enumerate(answer))
    return spoiled(answer, how)


def named(value):
    return getattr(value, "__name__", str(value)).removeprefix("neuromfa_lite.")


def failures(only=None):
    rows = verify.formula_checks(only) + verify.finite_size_checks(only)
    return [row for row in rows if not row.passed]


def test_nothing_fails_unspoiled():
    assert failures() == []


# what objects state


def stated(thing):
    """Names of everything public that an object computes: neither its arguments nor whether there is a formula."""
    given = {"closed_form", *(field.name for field in dataclasses.fields(thing))}
    return [name for name, _ in inspect.getmembers(thing) if not name.startswith("_") and name not in given]


EVERYTHING = [(thing, name, how) for thing in OBJECTS for name in stated(thing) for how in HOW]
EVERYTHING = [each for each in EVERYTHING if each[:2] != (fractals.ParetoFanOut, "natural_radii")]  # it has none


def test_every_kind_of_object_is_looked_at():
    kinds = {getattr(fractals, name) for name in fractals.__all__} - {fractals.KnownFractal}
    assert kinds == set(OBJECTS) and set(OBJECTS.values()) | {"network"} == set(verify.OBJECTS)
    assert {"exact_tau", "exact_alpha", "exact_f", "exact_dimension", "natural_radii"} <= set(stated(fractals.Flower))


def spoil(monkeypatch, thing, name, how, which=None):
    member = inspect.getattr_static(thing, name)
    if isinstance(member, property):
        changed = property(lambda self: spoiled_answer(member.fget(self), how, which))
    elif isinstance(member, classmethod):
        changed = classmethod(lambda cls, *given: spoiled_answer(member.__func__(cls, *given), how, which))
    else:

        def changed(self, *given, **named):
            return spoiled_answer(member(self, *given, **named), how, which)

    monkeypatch.setattr(thing, name, changed)


@pytest.mark.parametrize("thing, name, how", spread(EVERYTHING), ids=named)
def test_one_per_cent_of_what_an_object_states_fails(thing, name, how, monkeypatch):
    for which in (0, 1) if name == "exact_boxes" else (None,):
        with monkeypatch.context() as patch:
            spoil(patch, thing, name, how, which)
            assert failures([OBJECTS[thing]])


# what estimators return

SECTIONS = ("weighted", "flower", "lattice", "ring", "pareto", "network", "cascade")


def caught():
    """Whether some section of the finite sizes notices; the quick ones first."""
    return any(not row.passed for name in SECTIONS for row in verify.finite_size_checks([name]))


def numbers_of(kind):
    """The fields of a dataclass or named tuple that hold numbers."""
    fields = kind._fields if hasattr(kind, "_fields") else [field.name for field in dataclasses.fields(kind)]
    words = {"verdict", "flags", "method", "method_key", "source", "source_hash", "seed", "versions", "choices"}
    words |= {"measured", "given_radii", "stored_errors", "stored_notes", "chosen"}  # of bands: what is said of them
    return [name for name in fields if name not in words | {"masses", "layers", "convention"}]


def replaced(value, **changes):
    return value._replace(**changes) if hasattr(value, "_replace") else dataclasses.replace(value, **changes)


# kind of result: where a function that returns it is called from
HOMES = {
    Spectrum: [
        (verify.finite, "measure_spectrum"),
        (verify.finite, "box_counting"),
        (verify.networks, "measure_spectrum"),
    ],
    Masses: [(study, "count_masses"), (study, "ball_masses")],
    PartitionFunction: [(spectrum, "partition_of_masses"), (boxes, "_partition_of_boxes")],
    Lines: [(spectrum, "fit_lines"), (dimension, "fit_lines")],
}
# The layer of a neuron is a name; its places count by their sum, places_total.
OTHERS = {(study, "layer"), (study, "places"), (dimension, "intercept"), (dimension, "residuals")}
RESULTS = [
    (kind, home, function, field, how)
    for kind, homes in HOMES.items()
    for home, function in homes
    for field in numbers_of(kind)
    for how in HOW
    if (home, field) not in OTHERS and (function, field) != ("count_masses", "weight")
]


@pytest.mark.parametrize("kind, home, function, field, how", spread(RESULTS), ids=named)
def test_one_per_cent_of_a_result_fails(kind, home, function, field, how, monkeypatch):
    original = getattr(home, function)

    def changed(*given, **named):
        result = original(*given, **named)
        return replaced(result, **{field: spoiled(getattr(result, field), how)})

    monkeypatch.setattr(home, function, changed)
    assert caught()


@pytest.mark.parametrize("what, how", each_way(["dimension"], ["quality"]))
def test_one_per_cent_of_what_a_spectrum_derives_fails(what, how, monkeypatch):
    member = inspect.getattr_static(Spectrum, what)

    def changed(self):
        answer = member.fget(self)
        return answer._replace(radii=answer.radii + 1) if what == "quality" else spoiled(answer, how)

    monkeypatch.setattr(Spectrum, what, property(changed))
    assert caught()


@pytest.mark.parametrize("how", each_way([]))
def test_one_per_cent_of_the_error_of_a_dimension_fails(how, monkeypatch):
    original = dimension.error_over_connections
    monkeypatch.setattr(dimension, "error_over_connections", lambda *given: spoiled(original(*given), how))
    assert caught()


PIECES = (["influences_of"], ["standard_error"], ["normal_band"], ["strata_of_masses"])


@pytest.mark.parametrize("name, how", each_way(*PIECES))
def test_one_per_cent_of_what_bands_are_made_of_fails(name, how, monkeypatch):
    original = getattr(neuron_bands, name)

    def changed(*given):
        answer = original(*given)
        return answer._replace(sizes=answer.sizes + 1) if name == "strata_of_masses" else spoiled(answer, how)

    monkeypatch.setattr(neuron_bands, name, changed)
    assert caught()


# The parts of the published methods; those of variants are ideas, whose tests are theirs.
PUBLISHED_METHODS = (PAPER, PUBLISHED, SCALE_FREE, GEODESIC, SANDBOX, ONE_GRAPH)
USED = {(field, getattr(method, field)) for field in PARTS for method in PUBLISHED_METHODS if field != "join"}


@pytest.mark.parametrize("field, name, how", each_way(*sorted(USED)))
def test_one_per_cent_of_a_part_of_a_method_fails(field, name, how, monkeypatch):
    original = PARTS[field][name]
    monkeypatch.setitem(PARTS[field], name, lambda *given: spoiled(original(*given), how))
    assert caught()


@pytest.mark.parametrize(
    "home, function, how", each_way(("networks", "degree_of_emergence"), ("networks", "geodesic_distances"))
)
def test_one_per_cent_of_a_number_asked_for_by_itself_fails(home, function, how, monkeypatch):
    home = getattr(verify, home)
    original = getattr(home, function)
    monkeypatch.setattr(home, function, lambda *given: spoiled(original(*given), how))
    assert caught()


KERNELS = [
    (home, name)
    for home in (blocks, paths, geodesic, one_hop, partition, boxes, neuron_bands)
    for name, member in vars(home).items()
    if getattr(member, "__module__", "").startswith("neuromfa_lite.kernels")
]


# What nothing depends on: a path that a shorter one hides, counts outside the window or beyond the last radius, and by
# how much the count of a bin is above 0.
HIDDEN = {("join_one_to_one", "first"), ("count_rounded_reciprocals_f32", "last"), ("count_listed_distances", "last")}
HIDDEN |= {("total_tiles", "last")}
FILLED = [(home, name, how) for home, name in KERNELS for how in HOW if (name, how) not in HIDDEN]


@pytest.mark.parametrize("home, name, how", spread(FILLED), ids=named)
def test_one_per_cent_of_what_a_kernel_fills_in_fails(home, name, how, monkeypatch):
    original = getattr(home, name)

    def changed(*given):
        before = [value.copy() if isinstance(value, np.ndarray) else None for value in given]
        answer = original(*given)
        for old, value in zip(before, given, strict=True):
            if old is not None and not np.array_equal(old, value, equal_nan=True):
                filled = ~((old == value) | (np.isnan(old) & np.isnan(value)))
                value[filled] = spoiled(value[filled], how)
        return answer

    monkeypatch.setattr(home, name, changed)
    assert caught()
