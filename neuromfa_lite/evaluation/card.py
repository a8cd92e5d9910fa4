"""The scorecard itself: a table of numbers, each with its spread, and one picture of it."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from .. import results
from ..errors import NeuroMFAError, arguments, said
from ..errors.text import html
from .cells import COLUMNS

SCHEMA = 1
MEANS = "means over runs and steps, of 'moved by' without the sign"
# The questions that a screen has room for.
IN_SHORT = {
    "rise at the end": "rise",
    "follows ability": "follows",
    "follows ability beyond log(step)": "beyond clock",
    "specific": "specific",
    "moved by a common factor": "factor",
    "moved by symmetry": "symmetry",
    "moved by permuted connections": "permuted",
    "noise of samples": "samples",
    "noise of seeds": "seeds",
}


@dataclass(frozen=True, eq=False)
class Scorecard:
    """What was asked of one or several measures, and what came out.

    Attributes:
        rows: tuple of dicts with the keys method, property, run, step, value, low, high, looks, note; low and high are
            the spread that :class:`neuromfa_lite.evaluation.cells.Cell` tells.
        versions: of what computed it.

    Example:
        >>> from neuromfa_lite import shipped_scorecard
        >>> shipped_scorecard().of("induction").methods[0]
        'published'
    """

    rows: tuple[dict, ...]
    versions: dict

    def frame(self):
        """pandas DataFrame, a row per cell; a number that does not exist is missing."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=COLUMNS).astype({"value": float, "low": float, "high": float})

    @property
    def methods(self) -> tuple[str, ...]:
        """The measures on it, in their order."""
        return tuple(dict.fromkeys(row["method"] for row in self.rows))

    @property
    def looks(self) -> int:
        """How many cells were filled: with so many, some look good by chance."""
        return sum(row["value"] is not None for row in self.rows)

    def of(self, runs):
        """Return the cells of some runs, by name; NeuroMFAError where one is not on the scorecard."""
        there = tuple(dict.fromkeys(row["run"] for row in self.rows))
        runs = [runs] if isinstance(runs, str) or not np.iterable(runs) else list(runs)
        missing = [run for run in runs if not isinstance(run, str) or run not in there]
        if missing or not runs:
            asked = arguments.shown(missing[0]) if missing else "that was asked for"
            raise NeuroMFAError(f"no run {asked} is on this scorecard; there are {', '.join(there) or 'none'}")
        return Scorecard(tuple(row for row in self.rows if row["run"] in runs), self.versions)

    def pivot(self):
        """pandas DataFrame to read: a row per property, a column per method, the mean over runs and steps.

        Of what moves a measure the mean of the sizes is taken, without the sign: up in one run and down in another
        is not unmoved.
        """
        table = self.frame()
        words = table["property"].str.partition(" against ")[0]
        sizes = table["value"].abs().where(words.str.startswith("moved by "), table["value"])
        wide = table.assign(property=words, value=sizes).pivot_table(
            "value", "property", "method", aggfunc="mean", sort=False
        )
        return wide.reindex(columns=list(self.methods))

    def beside(self, other):
        """Return one scorecard of both; a method that is on both is taken from this one."""
        arguments.instance("other", other, Scorecard, "compute one with scorecard(...) or load one")
        mine = set(self.methods)
        rest = tuple(row for row in other.rows if row["method"] not in mine)
        return Scorecard(self.rows + rest, self.versions)

    def plot(self, ax=None):
        """Draw every method as a row of marks, one column a question; returns the Axes."""
        return results.picture("plot_scorecard", self, ax=ax)

    def draw(self, path):
        """Draw the picture into a .png file; returns the path."""
        path, content = picture_target(path), io.BytesIO()
        self.plot().figure.savefig(content, format="png", dpi=120)
        with results.written(path) as file:
            file.write(content.getbuffer())
        return path

    def text(self):
        """The main questions of :meth:`pivot` as text that fits a screen, a line per measure; all are in frame()."""
        table = self.pivot().rename(index=IN_SHORT).reindex(list(IN_SHORT.values())).T.dropna(how="all")
        table = table.dropna(axis="columns", how="all").to_string(float_format=lambda value: f"{value:.2f}", na_rep="-")
        words = ", ".join(f"{short}: {name}" for name, short in IN_SHORT.items() if short != name)
        said = f"{self.looks} numbers; {MEANS}; every question and number with --json"
        return "\n".join([table, "", *wrap(words, 100), "", said])

    def __repr__(self):
        return f"Scorecard({', '.join(map(repr, self.methods))}: {self.looks} numbers; .frame(), .pivot(), .plot())"

    def _repr_html_(self):
        table = self.pivot().to_html(float_format="%.2f", na_rep="-")
        names = html(", ".join(self.methods))
        return (
            f"<b>Scorecard</b> of {names}: {self.looks} numbers, each with its spread in <code>.frame()</code>; "
            f"{MEANS}:{table}"
        )

    def save(self, path):
        """Write it as JSON, under a temporary name first; returns the path."""
        path = results.target(path)
        for row in self.rows:
            results.refuse_misfit("this scorecard cannot be saved", row, _ROW)
        lines = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in self.rows)
        text = f'{{"schema": {SCHEMA}, "versions": {json.dumps(self.versions)}, "cells": [\n{lines}\n]}}\n'
        with results.written(path) as file:
            file.write(text.encode())
        return path

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; a missing, damaged or newer file is refused by name."""
        path = arguments.path("path", path)
        if not os.path.isfile(path):
            raise NeuroMFAError(f"{path}: no such file; compute it with `neuromfa-lite scorecard --shipped`")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            schema, versions, rows = (content[name] for name in ("schema", "versions", "cells"))
            if type(schema) is not int or schema < 1 or not isinstance(rows, list):
                raise ValueError("no schema or no cells")
            if schema <= SCHEMA:
                results.refuse_misfit("its head", {"versions": versions}, {"words": "versions"})
                for number, row in enumerate(rows, 1):
                    results.refuse_misfit(f"its cell {number}", dict(row), _ROW)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NeuroMFAError(f"{path} is damaged or no scorecard ({said(error)}): save it again") from None
        if schema > SCHEMA:
            raise NeuroMFAError(f"{path} has schema {schema}, newer than {SCHEMA}: update neuromfa_lite to read it")
        return cls(tuple({name: row[name] for name in COLUMNS} for row in rows), versions)


_ROW = {
    "text": "method property run note",
    "whole or none": "step",
    "number or none": "value low high",
    "whole": "looks",
}


def picture_target(path):
    """The Path of a picture to draw, its place tried as by :func:`neuromfa_lite.results.target`."""
    path = results.target(path)
    if path.suffix != ".png":
        raise NeuroMFAError(f"{path}: a picture is drawn into a .png file, give a name that ends so")
    return path
