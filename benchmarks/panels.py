"""How long a slider move keeps the kernel busy, for every panel: python benchmarks/panels.py

Prints the time each panel takes to build, and the median and largest processor time of a move, over settings drawn by a
seeded generator. The aim is less than 150 ms a move on the bundled runs.
"""

import statistics
import time

import numpy as np

from neuromfa_lite import panels

MOVES = 40


def positions(control):
    """The values a control can be moved to."""
    options = getattr(control, "options", None)
    if options:
        return [option[1] if isinstance(option, tuple) else option for option in options]
    if hasattr(control, "max"):
        return list(range(control.min, control.max + 1)) if isinstance(control.min, int) else [control.min, control.max]
    return [False, True]


def measure(panel_class):
    started = time.perf_counter()
    panel = panel_class()
    built = time.perf_counter() - started
    rng, moves = np.random.default_rng(0), []
    names = [name for name in panel.controls if name != "play"]
    while len(moves) < MOVES:
        control = panel.controls[str(rng.choice(names))]
        places = positions(control)
        value, before = places[rng.integers(len(places))], control.value
        started = time.process_time()
        control.value = value
        if control.value != before:
            moves.append(1e3 * (time.process_time() - started))
    return built, statistics.median(moves), max(moves)


if __name__ == "__main__":
    print("panel            build s   move ms (median, largest processor time)")
    for name in panels.__all__:
        panel_class = getattr(panels, name)
        if panel_class is panels.Panel:
            continue
        built, median, largest = measure(panel_class)
        print(f"{panel_class.__name__:16s} {built:7.1f} {median:9.0f} {largest:8.0f}", flush=True)
