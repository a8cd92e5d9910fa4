"""Judge measures on trainings younger than their definitions: python benchmarks/fresh_seeds.py [--folder DIR] [RUN ...]

Trains two further seeds (3 and 4) of a run and each of its controls, "induction" by default, one training a minute or
more, and prints how specific the published E and the frozen measures are there, how they rise, and what permuted
connections leave of the rise. Token cloud and two neighbours had been chosen on older trainings of induction, token
agreement and reciprocity on all bundled ones. With --folder what was trained is kept, and a second call goes on from
it. With --write all runs are trained and the scorecard is stored in the package, for lesson 06.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import neuromfa_lite as nmfa
from neuromfa_lite.evaluation.ask import MODEL
from neuromfa_lite.evaluation.shipped import FRESH, measure_named
from neuromfa_lite.laboratory import RECIPES, train

SEEDS = (3, 4)
ASKED = ("specific against", "rise at the end", "moved by permuted connections")
MEASURES = ("published", "token cloud", "two neighbours", "token agreement", "reciprocity")


def trained(name, folder):
    """The run of the two further seeds, trained where the folder does not hold them yet."""
    place = folder / name
    there = nmfa.load_run(place).seeds if (place / "manifest.json").exists() else ()
    for seed in SEEDS:
        if seed not in there:
            train(name, seed=seed, folder=place)
    return nmfa.load_run(place)


def asked(runs):
    """The Scorecard of all measures on some runs."""
    return nmfa.scorecard([measure_named(measure) for measure in MEASURES], runs, progress=False)


def judge(name, folder):
    """Print what is asked of every measure on one run and each of its controls."""
    names = [name, *(each.name for each in RECIPES.values() if each.control_of == name)]
    card = asked([trained(each, folder) for each in names])
    table = card.frame()
    for cell in table[table["property"].str.startswith(ASKED) & (table["method"] != MODEL)].itertuples():
        spread = f"{cell.value:+.4f} ({cell.low:+.4f} to {cell.high:+.4f})"
        print(f"{cell.run}, step {cell.step:4.0f}, {cell.property}: {cell.method:15} {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", default=["induction"], metavar="RUN")
    parser.add_argument("--folder", type=Path, help="keep the trainings here")
    parser.add_argument("--write", action="store_true", help="all runs; store their scorecard in the package")
    given = parser.parse_args()
    warnings.simplefilter("ignore", nmfa.QualityWarning)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for name in given.runs if not given.write else [each.name for each in RECIPES.values() if each.control]:
            judge(name, folder)
        if given.write:
            print(asked([trained(name, folder) for name in RECIPES]).save(FRESH).name)


if __name__ == "__main__":
    main()
