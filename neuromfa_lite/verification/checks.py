"""One line of the table, how it comes about, and the table as text."""

import math
from typing import NamedTuple


class Check(NamedTuple):
    """One number held against another; see :func:`neuromfa_lite.verification.verify`."""

    check: str
    object: str
    quantity: str
    q: float | None
    exact: float
    measured: float
    error: float
    tolerance: float | None
    passed: bool
    why: str


COLUMNS = list(Check._fields)
BROKEN = "could not be checked"


def compare(check, thing, quantity, q, numbers, tolerance, why):
    """A Check that passes if the error, relative where the exact number is larger than 1, is within the tolerance.

    Args:
        numbers: (exact, measured); check, thing, quantity, q, tolerance, why: as in the table.
    """
    exact, measured = (float(number) for number in numbers)
    error = off(exact, measured)
    q = None if q is None else float(q)
    # NaN fails, too
    return Check(check, thing, quantity, q, exact, measured, error, tolerance, bool(error <= tolerance), why)


def off(exact, measured):
    """The error of a number, relative where the exact one is larger than 1."""
    return abs(measured - exact) / max(1.0, abs(exact))


def worst(exact, measured):
    """(exact, measured) of the number that is farthest off, NaN before all others; NaN if there are more or fewer.

    Args:
        exact, measured: lists of numbers.
    """
    exact, measured = list(exact), list(measured)
    if len(exact) != len(measured):
        return len(exact), math.nan
    return max(zip(exact, measured, strict=True), key=_off_or_infinite)


def worst_ratio(exact, measured):
    """The same as (1, measured/exact), for numbers so small that 1 % of them would pass; a number for 0 is NaN."""
    exact, measured = list(exact), list(measured)
    if len(exact) != len(measured):
        return 1.0, math.nan
    ratios = [b / a if a else (1.0 if b == 0 else math.nan) for a, b in zip(exact, measured, strict=True)]
    return worst([1.0] * len(ratios), ratios)


def _off_or_infinite(pair):
    error = off(*pair)
    return math.inf if math.isnan(error) else error


def rows_of(check, sections, only):
    """The rows of sections {object: function}, all or only those named; a section that fails is a failed row."""
    rows = []
    for name, section in sections.items():
        if only is not None and name not in only:
            continue
        try:
            rows += section()
        except Exception as error:  # whatever it is: the table must say so, and the other sections be checked
            why = f"{type(error).__name__}: {error}"
            rows.append(Check(check, name, BROKEN, None, math.nan, math.nan, math.nan, None, False, why))
    return rows


TITLES = {
    "formula": "(a) formulas against independent routes",
    "finite size": "(b) estimators against masses counted exactly",
    "limit": "(c) estimators against the formula of the infinite object: errors must shrink",
}


def summary_of(table):
    """The table of checks as text: limits line by line, the many others by object and quantity, failures in full."""
    lines = []
    for check, title in TITLES.items():
        part = table[(table["check"] == check) & (table["quantity"] != BROKEN)]
        lines += ["", title]
        lines += _sequences(part) if check == "limit" else _worst_of_each(part)
    failed = table[~table["passed"]]
    lines += ["", f"{len(table) - len(failed)} of {len(table)} checks passed"]
    if len(failed):
        lines += ["", "FAILED:", failed.drop(columns="why").to_string(index=False, na_rep="-")]
        broken = failed[failed["quantity"] == BROKEN]
        lines += [f"{row.object}: {row.why}" for row in broken.itertuples()]
    return "\n".join(lines[1:])


def _worst_of_each(part):
    numbers = f"{'q':>5s} {'exact':>12s} {'measured':>12s} {'error':>8s} {'tol.':>6s}"
    lines = [f"     {'object':43s} {'quantity':22s} {numbers}   (the worst q of each)"]
    for why, group in part.groupby("why", sort=False):
        for (name, quantity), rows in group.groupby(["object", "quantity"], sort=False):
            worst = rows.loc[rows["error"].idxmax()] if rows["error"].notna().all() else rows.iloc[0]
            lines.append(_line("ok  " if rows["passed"].all() else "FAIL", name, quantity, worst))
        lines.append(f"     ({why})")
    return lines


def _line(verdict, name, quantity, row):
    q = "-" if row["q"] != row["q"] or row["q"] is None else f"{row['q']:g}"
    tolerance = "-" if row["tolerance"] != row["tolerance"] else f"{row['tolerance']:g}"
    numbers = f"{q:>5s} {row['exact']:12.8g} {row['measured']:12.8g} {row['error']:8.1e} {tolerance:>6s}"
    return f"{verdict} {name:43s} {quantity:22s} {numbers}"


def _sequences(part):
    lines = []
    for why, group in part.groupby("why", sort=False):
        family = group.assign(family=group["object"].str.rsplit(", ", n=1).str[0])
        for (name, q), rows in family.groupby(["family", "q"], sort=False):
            verdict = "ok  " if rows["passed"].all() else "FAIL"
            errors = " > ".join(f"{error:.3f}" for error in rows["error"])
            last = rows.iloc[-1]
            lines.append(
                f"{verdict} {name:36s} q = {q:<4g} exact {last['exact']:8.4f} measured {last['measured']:8.4f}   "
                f"errors {errors} (at most {last['tolerance']:g})"
            )
        sizes = ", ".join(dict.fromkeys(group["object"].str.rsplit(", ", n=1).str[1]))
        lines += [f"     sizes: {sizes}", f"     ({why})"]
    return lines
