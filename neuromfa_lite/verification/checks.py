"""One line of the table, and the plain arithmetic that the estimators are held against."""

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


def compare(check, thing, quantity, q, numbers, tolerance, why):
    """A Check that passes if the error, relative where the exact number is larger than 1, is within the tolerance.

    Args:
        numbers: (exact, measured); check, thing, quantity, q, tolerance, why: as in the table.
    """
    exact, measured = (float(number) for number in numbers)
    error = abs(measured - exact) / max(1.0, abs(exact))
    q = None if q is None else float(q)
    # NaN fails, too
    return Check(check, thing, quantity, q, exact, measured, error, tolerance, bool(error <= tolerance), why)


def plain_slope(x, y):
    """The least squares slope, in plain loops."""
    n = len(x)
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    above = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / math.fsum((a - mean_x) ** 2 for a in x)


def plain_exponents(radii, shares, weights, order):
    """(tau, alpha) of sum_i w_i mu_i^order, in plain loops.

    Args:
        radii: list of radii; shares: for each radius the list of mu_i; weights: for each radius the list of w_i.
    """
    x, log_z, mean_log = [math.log(radius) for radius in radii], [], []
    for of_radius, of_weights in zip(shares, weights, strict=True):
        terms = [w * mu**order for mu, w in zip(of_radius, of_weights, strict=True)]
        total = math.fsum(terms)
        log_z.append(math.log(total))
        mean_log.append(math.fsum(t * math.log(mu) for t, mu in zip(terms, of_radius, strict=True)) / total)
    return plain_slope(x, log_z), plain_slope(x, mean_log)


TITLES = {
    "formula": "(a) formulas against independent routes",
    "finite size": "(b) estimators against masses counted exactly",
    "limit": "(c) estimators against the formula of the infinite object: errors must shrink",
}


def summary_of(table):
    """The table of checks as text: limits line by line, the many others by object and quantity, failures in full."""
    lines = []
    for check, title in TITLES.items():
        part = table[table["check"] == check]
        lines += ["", title]
        lines += _sequences(part) if check == "limit" else _worst_of_each(part)
    failed = table[~table["passed"]]
    lines += ["", f"{len(table) - len(failed)} of {len(table)} checks passed"]
    if len(failed):
        lines += ["", "FAILED:", failed.drop(columns="why").to_string(index=False, na_rep="-")]
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
