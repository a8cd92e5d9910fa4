"""What the models themselves can still do after each change: the other half of what a measure says of it.

The answers for the bundled runs are stored, each under the hashes of its first checkpoint, which one of the changes
takes, and of its last. Other checkpoints are measured anew, which needs torch.
"""

import json
from functools import lru_cache
from pathlib import Path

from .. import results
from ..errors import NeuroMFAError
from ..laboratory import manifests
from ..laboratory.model import refuse_without_torch
from .changes import EVERY_CHANGE, changed
from .controls import abilities_of

STORED = Path(__file__).with_suffix(".json")


def ability_after(run, words, seed=0):
    """The ability of a run's last checkpoint after a change in EVERY_CHANGE; None where torch is needed and missing.

    Example:
        >>> from neuromfa_lite import load_run
        >>> ability_after(load_run("induction"), "permuted connections") < 0.1
        True
    """
    known = _stored().get(_hash(run, seed), {})
    if words in known:
        return known[words]
    try:
        refuse_without_torch("measuring an ability")
    except NeuroMFAError:
        return None
    return _measured(run, words, seed)


def store(runs):
    """Measure the ability of the last checkpoints of some runs after each change, and store it with the package."""
    stored = {
        _hash(run, seed): {"of": f"{run.name}, seed {seed}"}
        | {words: _measured(run, words, seed) for words in EVERY_CHANGE}
        for run in runs
        for seed in run.seeds
    }
    with results.written(STORED) as file:
        file.write((json.dumps(stored, indent=1) + "\n").encode())
    _stored.cache_clear()


@lru_cache(maxsize=1)
def _stored():
    """{hash of the first and last checkpoint's weights: {words: ability}}."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def _measured(run, words, seed):
    return round(float(abilities_of(changed(run, words, seed))[run.ability]), 6)


def _hash(run, seed):
    steps = run.steps(seed)
    ends = [run.checkpoint(step, seed).folder / "model.safetensors" for step in (steps[0], steps[-1])]
    return "-".join(manifests.file_hash(path)[:16] for path in ends)
