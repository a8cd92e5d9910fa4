"""Is it right? Every object with a known answer against an independent route, every estimator against every object.

(a) formula: the exact exponents, and the masses that objects state, against a route that shares nothing with them but
    the object;
(b) finite size: the estimators against masses that can be counted exactly, put through a plain regression;
(c) limit: the estimators against the formula, over three fixed sizes whose errors must shrink.
"""

from ..quality import quietly
from . import finite, formulas, limits, networks, stated
from .checks import COLUMNS, Check, rows_of, summary_of

__all__ = ["COLUMNS", "OBJECTS", "Check", "finite_size_checks", "formula_checks", "limit_checks", "summary_of"]
__all__ += ["table_of", "verify"]

OBJECTS = ("cascade", "flower", "weighted", "lattice", "ring", "pareto", "network")


def formula_checks(only=None):
    """The rows of (a), of all OBJECTS or those named in ``only``."""
    return rows_of("formula", formulas.SECTIONS, only) + rows_of("formula", stated.SECTIONS, only)


def finite_size_checks(only=None):
    """The rows of (b), of all OBJECTS or those named in ``only``."""
    return rows_of("finite size", finite.SECTIONS, only) + rows_of("finite size", networks.SECTIONS, only)


def limit_checks(only=None):
    """The rows of (c), of all OBJECTS or those named in ``only``."""
    return rows_of("limit", limits.SECTIONS, only)


def verify(progress=True):
    """Check every formula and every estimator against objects whose answer is known; takes about half a minute.

    Args:
        progress: show a progress bar.

    Returns:
        pandas DataFrame, a row per check: check ("formula", "finite size" or "limit"), object, quantity, q, exact,
        measured, error, tolerance, passed, why (the reason for the tolerance, and known biases). In a "limit" the
        errors of three growing objects must shrink as well, and only the last is held against the tolerance. What
        ends in an error is a failed row that quotes it.

    Example:
        >>> from neuromfa_lite import verification
        >>> table = verification.table_of(verification.formula_checks(only=["ring"]))
        >>> bool(table["passed"].all()), sorted(set(table["check"]))
        (True, ['formula'])
    """
    from tqdm.auto import tqdm

    rows = []
    parts = (formula_checks, finite_size_checks, limit_checks)
    with quietly():
        for part in tqdm(parts, desc="verify", unit="part", disable=not progress, delay=1):
            rows += part()
    return table_of(rows)


def table_of(rows):
    """Checks as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame(rows, columns=COLUMNS)
