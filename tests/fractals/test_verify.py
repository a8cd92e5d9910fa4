"""verify: all of it passes, says why, is the same again, and a number that is off is a failed row."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

import neuromfa_lite as nmfa
from neuromfa_lite import fractals
from neuromfa_lite.cli.commands import main
from neuromfa_lite.fractals import verify as verification

COLUMNS = "check object quantity q exact measured error tolerance passed why".split()
CHECKS = ["formula", "exact", "identity", "limit"]


@pytest.fixture(scope="module")
def table():
    return nmfa.verify(progress=False)


def failures(check, section):
    return [row for row in verification.rows_of(check, section) if not row.passed]


def test_all_passes_and_the_tolerance_has_a_reason(table):
    assert list(table.columns) == COLUMNS and table["passed"].all() and len(table) > 1000
    assert list(dict.fromkeys(table["check"])) == CHECKS == list(verification.TITLES)
    assert set(table.loc[table["check"] != "limit", "tolerance"]) == {1e-9, 1e-6}
    assert table["why"].str.len().min() > 20 and np.isfinite(table[["exact", "measured", "error"]]).all().all()


def test_every_object_and_every_exponent_is_there(table):
    names = " ".join(table["object"])
    for word in ("cascade", "flower", "Sierpinski", "lattice", "ring", "Pareto", "boxes", "neurons", "paths"):
        assert word in names, word
    assert {"tau", "alpha", "f", "dimension", "width", "alpha0", "N(r)"} <= set(table["quantity"])


def test_it_is_the_same_again(table):
    assert nmfa.verify(progress=False).equals(table)


def test_limits_are_held_against_the_size_before(table):
    limits = table[table["check"] == "limit"]
    assert limits["tolerance"].isna().sum() == len(limits) / 3  # the first of three sizes
    assert (limits["error"] <= limits["tolerance"].fillna(1)).all() and limits["error"].min() > 1e-4


def test_errors_that_do_not_fall_fail(monkeypatch):
    original, seen = verification.analyze, []

    def no_better(*arguments, **choices):
        seen.append(original(*arguments, **choices))
        return seen[0]

    monkeypatch.setattr(verification, "analyze", no_better)
    assert failures("limit", verification._limits)


@pytest.mark.parametrize("measured", [1.01, math.nan, math.inf])
def test_a_number_that_is_off_or_none_fails(measured):
    (row,) = verification.rows_of("exact", lambda: verification._rows("thing", "tau", 1.0, measured, [2.0]))
    assert not row.passed and (row.object, row.quantity, row.q, row.exact) == ("thing", "tau", 2.0, 1.0)


def test_more_numbers_than_there_should_be_fail():
    (row,) = verification.rows_of("exact", _one_too_many)
    assert not row.passed and row.quantity == verification.BROKEN and row.object == "one too many"


def _one_too_many():
    return verification._rows("thing", "tau", [1.0], [1.0, 2.0])


def test_the_command_prints_the_table_and_its_exit_status_says_whether_all_is_well(monkeypatch, table):
    monkeypatch.setattr(verification, "verify", lambda: table)
    done = CliRunner().invoke(main, ["verify", "--json"])
    lines = json.loads(done.stdout)
    assert done.exit_code == 0 and len(lines) == len(table) and list(lines[0]) == COLUMNS
    assert all(line["passed"] for line in lines) and [line["q"] for line in lines].count(None) > 100
    text = CliRunner().invoke(main, ["verify"])
    assert text.exit_code == 0 and "FAIL" not in text.output and f"{len(table)} of {len(table)} checks" in text.output


def _nothing_to_divide_by():
    raise ZeroDivisionError("nothing to divide by")


def test_a_section_that_ends_in_an_error_is_a_failed_row_and_the_others_go_on(monkeypatch):
    tau = fractals.Ring._tau
    monkeypatch.setattr(fractals.Ring, "_tau", lambda self, q: 1.01 * tau(self, q))
    sections = {"formula": (verification._formulas,), "exact": (_nothing_to_divide_by, verification._paths)}
    monkeypatch.setattr(verification, "SECTIONS", sections)
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 1 and "FAIL ring" in done.output and "ok   paths in a lattice" in done.output
    assert "nothing to divide by: ZeroDivisionError: nothing to divide by" in done.output
    lines = json.loads(CliRunner().invoke(main, ["verify", "--json"]).stdout)
    failed = [line for line in lines if not line["passed"]]
    assert {line["object"] for line in failed} == {"ring", "nothing to divide by"}
    assert failed[-1]["quantity"] == verification.BROKEN and failed[-1]["measured"] is None
