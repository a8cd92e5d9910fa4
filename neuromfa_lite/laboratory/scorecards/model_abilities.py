"""What the model itself can still do after each change of a scorecard: the other half of every such number.

Measuring it takes torch, so the answers for the bundled runs are stored, each with the hash of the checkpoint it is of; a
checkpoint with another hash is measured anew, or has no answer where torch is missing.
"""

from __future__ import annotations

import json
import os

import numpy as np

from .. import manifests
from ..runs import BUNDLED

STORED = BUNDLED / "abilities_after_changes.json"
METHOD = "the model itself"


def ability_rows(runs, changes):
    """Rows of a scorecard: the ability of every run's last checkpoints, as they are and after each change.

    Args:
        runs: list of Run with an ability; changes: {words: change(checkpoint)}.

    Returns:
        list of dicts, the rows; value is the mean over training seeds, low and high the smallest and largest.
    """
    stored = read_stored()
    rows = []
    for run in runs:
        lasts = [run.checkpoint(run.steps(seed)[-1], seed) for seed in run.seeds]
        rows.append(_row(run, "ability", [last.abilities[run.ability] for last in lasts], lasts))
        for words in changes:
            values = [_value(stored, last, words, changes[words], run) for last in lasts]
            rows.append(_row(run, f"ability after {words}", values, lasts))
    return rows


def read_stored() -> dict:
    """{hash of a checkpoint's weights: {words: ability}}; empty where nothing is stored."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def write_stored(runs, changes):
    """Measure the ability of every run's last checkpoints after each change and store it with the package."""
    stored = {}
    for run in runs:
        for seed in run.seeds:
            last = run.checkpoint(run.steps(seed)[-1], seed)
            stored[_hash(last)] = {"of": str(last)} | {
                words: _measured(last, change, run) for words, change in changes.items()
            }
    temporary = STORED.with_name(f".{STORED.name}.{os.getpid()}")
    temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, STORED)


def _value(stored, last, words, change, run):
    known = stored.get(_hash(last), {})
    if words in known:
        return known[words]
    try:
        return _measured(last, change, run)
    except ImportError:
        return None


def _measured(last, change, run):
    from ..controls import abilities_of

    return round(float(abilities_of(change(last))[run.ability]), 6)


def _hash(checkpoint):
    return manifests.file_hash(checkpoint.folder / "model.safetensors")[:16]


def _row(run, name, values, lasts):
    known = [value for value in values if value is not None]
    note = run.ability if known else "needs torch and transformers"
    value, low, high = (
        (round(float(np.mean(known)), 6), float(min(known)), float(max(known))) if known else (None,) * 3
    )
    step = int(lasts[0].step)
    about = {"method": METHOD, "property": name, "run": run.name, "step": step}
    return about | {"value": value, "low": low, "high": high, "looks": len(known), "note": note}


