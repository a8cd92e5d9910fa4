"""How long a measure takes on the scorecard of all bundled runs: python benchmarks/scorecard.py [MEASURE ...]

Prints wall and processor seconds of each, in one process, after a first call on two runs that loads the kernels. The
aim is less than 60 s on two cores for a one-hop method.
"""

import sys
import time
import warnings

import neuromfa_lite as nmfa
from neuromfa_lite.evaluation.shipped import measure_named

MEASURES = ("published", "scale-free", "both-directions", "geodesic", "token cloud", "two neighbours", "spectral norm")
AIM = 60.0


def main(names):
    warnings.simplefilter("ignore", nmfa.QualityWarning)
    pair = [nmfa.load_run("induction"), nmfa.load_run("induction-control")]
    for name in names:
        measure = measure_named(name)
        nmfa.scorecard(measure, pair, samples=1, progress=False)
        wall, busy = time.perf_counter(), time.process_time()
        card = nmfa.scorecard(measure, progress=False)
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        met = "met" if wall < AIM else "NOT met"
        told = f"{wall:6.1f} s, {busy:6.1f} s of processor time, {card.looks} numbers"
        print(f"{name:18} {told}; aim {AIM:.0f} s {met}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or MEASURES)
