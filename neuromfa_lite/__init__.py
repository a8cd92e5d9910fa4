"""neuromfa_lite: neuron-based multifractal analysis (NeuroMFA) to teach and to explore.

weights -> network -> masses -> spectrum -> study -> evaluation -> plots -> panels, cli
"""

import importlib

__version__ = "0.1.0"

# Names are fetched on first use, so that `import neuromfa_lite` needs nothing but Python itself:
# `python -m neuromfa_lite lab` can then set up a fresh clone, and torch is loaded only by those who train.
_HOME_OF = {
    "NeuroMFAError": "errors",
    "QualityWarning": "errors",
    "NeuronNetwork": "network",
    "load_network": "network",
    "check_architecture": "network",
    "record_of": "network",
    "register_architecture": "network",
    "Method": "method",
    "METHODS": "method",
    "PAPER": "method",
    "PUBLISHED": "method",
    "SCALE_FREE": "method",
    "GEODESIC": "method",
    "SANDBOX": "method",
    "ONE_GRAPH": "method",
    "load_variant": "method",
    "register_method": "method",
    "neuron_fractal_dimension": "spectrum",
    "box_counting": "spectrum",
    "analyze": "study",
    "follow": "study",
    "confidence": "study",
    "trajectory_confidence": "study",
    "verify": "fractals.verify",
    "scorecard": "evaluation",
    "shipped_scorecard": "evaluation",
    "load_run": "laboratory",
    "list_runs": "laboratory",
}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name):
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__():
    return sorted([*globals(), *__all__])
