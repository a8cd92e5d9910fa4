"""Judge measures on trainings younger than their definitions: python benchmarks/fresh_seeds.py [--folder DIR] [RUN ...]

Trains two further seeds (3 and 4) of a run and each of its controls, "induction" by default, one training a minute or
more, and prints how specific the published E and the two frozen measures of tokens are there. The bundled trainings of
induction are older than those measures, which had been chosen on them. With --folder what was trained is kept, and a
second call goes on from it.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import neuromfa_lite as nmfa
from neuromfa_lite.laboratory import RECIPES, train
from neuromfa_lite.laboratory.scorecards.shipped import measure_named

SEEDS = (3, 4)
MEASURES = ("published", "token cloud", "two neighbours", "token agreement", "reciprocity")


def trained(name, folder):
    """The run of the two further seeds, trained where the folder does not hold them yet."""
    place = folder / name
    there = nmfa.load_run(place).seeds if (place / "manifest.json").exists() else ()
    for seed in SEEDS:
        if seed not in there:
            train(name, seed=seed, folder=place)
    return nmfa.load_run(place)


def judge(name, folder):
    """Print the specificity of every measure on one run against each of its controls."""
    names = [name, *(each.name for each in RECIPES.values() if each.control_of == name)]
    runs = [trained(each, folder) for each in names]
    table = nmfa.scorecard([measure_named(measure) for measure in MEASURES], runs, progress=False).frame()
    for cell in table[table["property"].str.startswith("specific")].itertuples():
        spread = f"{cell.value:+.2f} ({cell.low:+.2f} to {cell.high:+.2f})"
        print(f"{name}, step {cell.step:4.0f}, {cell.property}: {cell.method:15} {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", default=["induction"], metavar="RUN")
    parser.add_argument("--folder", type=Path, help="keep the trainings here")
    given = parser.parse_args()
    warnings.simplefilter("ignore", nmfa.QualityWarning)
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.runs:
            judge(name, given.folder or Path(temporary))


if __name__ == "__main__":
    main()
