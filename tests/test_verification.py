"""verify: it passes, and one per cent of anything makes it fail."""

import dataclasses
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from neuromfa_lite import (
    PAPER,
    SANDBOX,
    analyze,
    blocks,
    boxes,
    dimension,
    fractals,
    measures,
    partition,
    paths,
    spectrum,
    study,
    verification,
)
from neuromfa_lite.cli import main
from neuromfa_lite.fractals import known
from neuromfa_lite.kernels import geodesic as geodesic_kernels
from neuromfa_lite.verification import formula_checks, limits, networks
from neuromfa_lite.verification.checks import BROKEN

OBJECTS = [fractals.Cascade, fractals.Flower, fractals.Lattice, fractals.ParetoFanOut, fractals.Ring]
OBJECTS += [fractals.WeightedFractal]


def failures(checks):
    return [check for check in checks if not check.passed]


def off_by_one_per_cent(monkeypatch, home, name):
    original = getattr(home, name)

    def mutated(*arguments, **choices):
        value = original(*arguments, **choices)
        return value * 1.01 if value is not None else None

    monkeypatch.setattr(home, name, mutated)


# (a)


def test_every_formula_passes():
    checks = formula_checks()
    assert failures(checks) == [] and {check.tolerance for check in checks} == {1e-6}


@pytest.mark.parametrize("formula", ["_tau", "_alpha"])
@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: thing.__name__)
def test_one_per_cent_of_a_formula_fails(thing, formula, monkeypatch):
    off_by_one_per_cent(monkeypatch, thing, formula)
    assert failures(formula_checks())


@pytest.mark.parametrize("home, formula", [(known.KnownFractal, "_f"), (known.KnownFractal, "_dimension")])
def test_one_per_cent_of_a_common_formula_fails(home, formula, monkeypatch):
    off_by_one_per_cent(monkeypatch, home, formula)
    assert failures(formula_checks())


@pytest.mark.parametrize("thing", [fractals.Cascade, fractals.WeightedFractal, fractals.ParetoFanOut])
def test_one_per_cent_of_an_own_spectrum_fails(thing, monkeypatch):
    original = thing._f
    monkeypatch.setattr(thing, "_f", lambda self, q: original(self, q) * 1.01 + 0.001 * (thing is OBJECTS[3]))
    assert failures(formula_checks())


@pytest.mark.parametrize(
    "home, constant",
    [("cascade", "log"), ("flower", "log"), ("weighted", "log")],
)
def test_one_per_cent_inside_a_logarithm_fails(home, constant, monkeypatch):
    module = getattr(fractals, home)
    original = getattr(math, constant)

    class Mutated:
        def __getattr__(self, name):
            return (lambda value: original(1.01 * value)) if name == constant else getattr(math, name)

    monkeypatch.setattr(module, "math", Mutated())
    fractals.flower._inside.cache_clear()
    assert failures(formula_checks())


# (b)


def test_every_estimator_passes():
    checks = verification.finite_size_checks()
    assert failures(checks) == [] and {check.tolerance for check in checks} == {1e-9}


PARTS = {**verification.finite.SECTIONS, **verification.networks.SECTIONS}


@pytest.mark.parametrize("part", PARTS)
def test_one_per_cent_of_a_slope_fails(part, monkeypatch):
    for name in ("fit_slopes", "fit_lines"):
        with monkeypatch.context() as patch:
            original = getattr(spectrum, name)

            def mutated(x, curves, original=original):
                return original(x * 1.01, curves)

            patch.setattr(spectrum, name, mutated)
            assert failures(PARTS[part]()), name


@pytest.mark.parametrize("part", PARTS)
def test_one_per_cent_of_the_orders_fails(part, monkeypatch):
    original = partition.log_partition

    def mutated(logs, orders, *rest):
        original(logs, orders * 1.01, *rest)

    monkeypatch.setattr(partition, "log_partition", mutated)
    monkeypatch.setattr(boxes, "log_partition", mutated)
    counts = partition.log_partition_of_counts
    monkeypatch.setattr(
        partition, "log_partition_of_counts", lambda a, b, orders, *rest: counts(a, b, orders * 1.01, *rest)
    )
    assert failures(PARTS[part]())


@pytest.mark.parametrize("home, name", [(measures, "_balls_on_line"), (measures, "_balls_on_grid")])
def test_one_per_cent_of_the_balls_of_a_measure_fails(home, name, monkeypatch):
    original = getattr(home, name)

    def mutated(measure, centres, reaches, counts):
        original(measure, centres, reaches, counts)
        counts[2] *= 1.01

    monkeypatch.setattr(home, name, mutated)
    assert "mass (worst)" in {check.quantity for check in failures(PARTS["cascade"]())}


def test_one_per_cent_of_a_box_fails(monkeypatch):
    original = boxes._boxes_of_measure

    def mutated(measure, sizes, base):
        sizes, shares = original(measure, sizes, base)
        return sizes, [shares[0], np.append(shares[1][:1] * 1.01, shares[1][1:]), *shares[2:]]

    monkeypatch.setattr(boxes, "_boxes_of_measure", mutated)
    assert failures(PARTS["cascade"]())


@pytest.mark.parametrize("part", ["lattice", "ring", "flower", "weighted"])
def test_one_per_cent_of_a_path_fails(part, monkeypatch):
    for name in ("dijkstra", "walk_in_rounds"):
        original = getattr(geodesic_kernels, name)

        def mutated(starts, neighbours, lengths, source, limit, distances, original=original):
            original(starts, neighbours, lengths, source, limit, distances)
            distances *= 1.01

        monkeypatch.setattr(paths, name, mutated)
    failed = failures(verification.finite_size_checks([part]))
    assert failed
    if part == "ring":  # no node has another within one step any more, which its share cannot do without
        assert (failed[0].quantity, "leaves the neuron itself out" in failed[0].why) == (BROKEN, True)


def test_one_per_cent_of_a_distance_fails(monkeypatch):
    for name in ("count_rounded_reciprocals_f32", "count_rounded_reciprocals_f64"):
        original = getattr(blocks, name)
        monkeypatch.setattr(blocks, name, lambda weights, *rest, original=original: original(weights / 1.01, *rest))
    assert failures(PARTS["pareto"]()) and failures(PARTS["network"]())


@pytest.mark.parametrize("part", PARTS)
def test_a_radius_left_out_fails(part, monkeypatch):
    original = spectrum.spectrum_of_masses

    def mutated(masses, *rest, **choices):
        fewer = dataclasses.replace(masses, radii=masses.radii[:-1], counts=masses.counts[:, :-1])
        return original(fewer, *rest, **choices)

    monkeypatch.setattr(study, "spectrum_of_masses", mutated)
    assert {"number of radii", "mass (worst)"} <= {check.quantity for check in failures(PARTS[part]())}


# (c) and the whole


CHOICES = [{"window": (1.01, 150)}, {"window": (0.99, 150)}, {"window": (1, 148.5)}, {"window": (1, 151.5)}]
CHOICES += [{"minimum_connections": 10}, {"minimum_connections": 12}, {"rounding": False}]
CHOICES += [{"q": [1.01 * q for q in PAPER.q]}]


@pytest.mark.parametrize("changed", CHOICES, ids=str)
def test_another_number_than_the_published_one_fails(changed, monkeypatch):
    monkeypatch.setattr(networks, "PAPER", PAPER.replace(**changed))
    monkeypatch.setitem(networks.SECTIONS, "network", networks._choices)
    assert failures(verification.finite_size_checks(["network"]))


@pytest.mark.parametrize("window", [(0, 198), (0, 202), (1.01, 200)])
def test_another_window_of_the_dimension_fails(window, monkeypatch):
    monkeypatch.setattr(dimension, "OWN_WINDOW", window)
    monkeypatch.setitem(networks.SECTIONS, "network", networks._choices)
    assert failures(verification.finite_size_checks(["network"]))


@pytest.mark.parametrize("part", [limits._lattice, limits._cascade, limits._flower])
def test_errors_that_do_not_shrink_fail(part, monkeypatch):
    original = limits.measure_spectrum
    seen = []

    def no_better(*arguments, **choices):
        seen.append(original(*arguments, **choices))
        return seen[0]

    monkeypatch.setattr(limits, "measure_spectrum", no_better)
    assert failures(part())


def test_the_table_says_how_far_off_balls_are_at_negative_q():
    for part, thing, method in (
        ("flower", fractals.Flower(2, 2, 5), SANDBOX),
        ("cascade", fractals.Cascade([0.3, 0.7], 10), SANDBOX.replace(radii="natural")),
    ):
        (why,) = {check.why for check in verification.limit_checks([part])}
        off = analyze(thing, method.replace(q=[-2.0])).tau[0] - thing.exact_tau(-2)
        assert f", {off:.3f}, " in why and "tau(-2) is" in why


def test_the_errors_of_the_limits_fall_as_the_table_says():
    """At least as fast as one over the generation."""
    for part, generations in (("flower", [(4, 5, 6)]), ("weighted", [(8, 9, 10), (4, 5, 6), (6, 7, 8)])):
        rows = verification.limit_checks([part])
        families = {}
        for check in rows:
            families.setdefault((check.object.rsplit(", ", 1)[0], check.q), []).append(check.error)
        assert len({name for name, _ in families}) == len(generations)
        names = list(dict.fromkeys(name for name, _ in families))
        for (name, _), errors in families.items():
            scaled = np.array(errors) * generations[names.index(name)]
            assert (np.diff(scaled) <= 0).all()


def test_the_command_prints_the_table_and_its_exit_status_says_whether_all_is_well(monkeypatch):
    done = CliRunner().invoke(main, ["verify", "--json"])
    table = json.loads(done.stdout)
    assert done.exit_code == 0 and all(line["passed"] for line in table)
    assert {"object", "q", "exact", "measured", "error", "tolerance", "passed", "check", "why"} <= set(table[0])
    assert [line["check"] for line in table] == sorted(
        (line["check"] for line in table), key=[*verification.checks.TITLES].index
    )
    assert {line["check"] for line in table if line["tolerance"] is None} == {"limit"}
    monkeypatch.setattr(verification, "limit_checks", lambda: [])
    text = CliRunner().invoke(main, ["verify"])
    assert text.exit_code == 0 and "FAIL" not in text.output and "2,3)-flower" in text.output
    off_by_one_per_cent(monkeypatch, fractals.Ring, "_tau")
    broken = CliRunner().invoke(main, ["verify"])
    assert broken.exit_code == 1 and "FAILED:" in broken.output and "ring" in broken.output


def test_a_section_that_ends_in_an_error_is_a_failed_row_and_the_others_go_on(monkeypatch):
    def broken():
        raise ZeroDivisionError("nothing to divide by")

    for sections in (verification.finite.SECTIONS, limits.SECTIONS):
        monkeypatch.setitem(sections, "cascade", broken)
    for section in ("lattice", "weighted"):
        monkeypatch.delitem(limits.SECTIONS, section)
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 1 and "cascade: ZeroDivisionError: nothing to divide by" in done.output
    assert "(2,3)-flower, balls of hubs" in done.output and "(2,2)-flower  " in done.output
    table = json.loads(CliRunner().invoke(main, ["verify", "--json"]).stdout)
    failed = [line for line in table if not line["passed"]]
    assert [(line["check"], line["object"]) for line in failed] == [("finite size", "cascade"), ("limit", "cascade")]
    assert failed[0]["quantity"] == BROKEN and failed[0]["measured"] is None
