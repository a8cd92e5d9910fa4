"""What public calls are given: every argument of each, and what of its kind no right answer can be made of."""

import inspect
from dataclasses import fields
from functools import cache

import networkx as nx
import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite import fractals, panels
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation import controls
from neuromfa_lite.evaluation.measures import baselines, circuits, token_clouds
from neuromfa_lite.laboratory.runs import Run
from neuromfa_lite.masses import count_masses, geodesic_distances
from neuromfa_lite.masses.balls import ball_masses

FRACTALS = [getattr(fractals, name) for name in fractals.__all__ if name != "KnownFractal"]
MEASURE = fractals.Cascade([0.3, 0.7], 4).measure()
NO_ARGUMENT_OF_OURS = {
    "self",
    "cls",
    "path",
    "config",
    "revision",
    "progress",
}  # files and their names have tests of their own

# Steps of the work, and balls that are the same around any radius.
NOT_ASKED = {"directions", "folded_layers", "token_ways", "token_paths", "logits", "model_of", "abilities_of"}
NOT_ASKED |= {"check_architecture", "record_of", "register_architecture"}  # of models: tests/network
NOT_ASKED |= {"agreement", "returned", "spectrum_of_masses", "degree_of_emergence"}
NOT_ASKED |= {"Flower.centres", "Ring.centres", "WeightedFractal.centres", "load_variant"}


def _functions(module):
    named = getattr(module, "__all__", vars(module))
    functions = {name: getattr(module, name) for name in named if not name.startswith("_")}
    own = inspect.isfunction
    return {name: each for name, each in functions.items() if own(each) and each.__module__.startswith(module.__name__)}


def _methods(kind):
    named = {name: each for name, each in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return {f"{kind.__name__}.{name}": each for name, each in named.items() if name not in ("save", "load", "draw")}


def _public():
    found = _functions(nmfa) | {"geodesic_distances": geodesic_distances, "count_masses": count_masses}
    found |= {"ball_masses": ball_masses, "token_cloud": token_clouds.token_cloud}
    found |= {"register_part": nmfa.method.register_part}
    rooms = (nmfa.spectrum, nmfa.study, nmfa.evaluation)
    for module in (baselines, circuits, controls, *rooms):
        found |= _functions(module)
    offered = [getattr(room, name) for room in (nmfa, *rooms) for name in room.__all__]
    for kind in [Run, *filter(inspect.isclass, offered), *FRACTALS]:
        if not issubclass(kind, (Exception, nmfa.Method)):
            found |= _methods(kind)
    found |= {kind.__name__: kind for kind in (nmfa.Method, *FRACTALS)}
    return {name: call for name, call in found.items() if name not in NOT_ASKED and _parameters(call)}


def _parameters(call):
    known = inspect.signature(call).parameters.values()
    return [each for each in known if each.name not in NO_ARGUMENT_OF_OURS and each.kind != each.VAR_POSITIONAL]


PUBLIC = _public()
PANELS = [
    each for each in vars(panels).values() if inspect.isclass(each) and "method" in inspect.signature(each).parameters
]


@cache
def good():
    """An argument that every call takes, by its name, and objects to call the methods of."""
    run = nmfa.load_run("induction")
    whole, start = (nmfa.load_network(run.checkpoint(step)) for step in (724, 0))
    sample = whole.sample(8, seed=0)
    graph = nx.path_graph(12)
    nx.set_edge_attributes(graph, 1.0, "distance")
    spectrum, history = nmfa.analyze(sample), nmfa.follow(run, samples=2, neurons_per_layer=16, steps=[0, 724])
    bands = nmfa.confidence(sample, resamples=20)
    card = nmfa.shipped_scorecard()
    by_name = {field.name: field.default for field in fields(nmfa.Method)} | {
        "what": sample, "network": sample, "networks": [sample], "start": start.sample(8),
        "now": sample, "like": sample, "run": run, "runs": ["induction"], "graph": graph,
        "checkpoint": run.checkpoint(0),
        "source": run.checkpoint(0), "other": card, "ax": None, "method": nmfa.PAPER, "measure": MEASURE,
        "centres": [1, 2, 3], "sizes": [1, 2, 4], "edges": [-1.0, 0.0, 1.0], "steps": 0, "bands": "redraws",
        "sources": [0, 0, 1], "targets": [1, 2, 2], "weights": [0.5, 0.25, 0.1], "natural_radii": None,
        "p": [0.3, 0.7], "scales": [0.5, 0.25], "shape": [3, 3], "q": [0.0, 1.0], "r": [1.0, 2.0],
        "first": np.eye(3), "second": np.eye(3), "written": np.ones((3, 1)), "read": np.ones((3, 1)),
        "samples": 1, "neurons_per_layer": 8, "resamples": 20, "training_seed": 0, "step": 0,
        "seed": 0, "number": 0, "digits": 3, "levels": 3, "level": 0.9, "share": 0.4, "factor": 2.0, "size": 2.0,
        "exponent": 2.0, "neurons": 3, "fan_out": 4, "n": 20, "k": 4, "rewire": 0.1, "u": 2, "v": 2, "generation": 2,
        "centre": 1, "largest": 1e5, "quantity": "alpha0", "by": "layer", "part": "layer", "layer": "block 0 input",
        "grid": "common", "field": "distance", "name": "name", "label": "induction@0",
        "name_or_folder": "induction", "embeddings": False, "function": abs, "inputs": None, "ends": "inside",
        "architecture": None, "most": 9,
    }  # fmt: skip
    objects = {
        "NeuronNetwork": whole, "Spectrum": spectrum, "Trajectory": history, "Confidence": bands, "Run": run,
        "NeuronDimensions": nmfa.neuron_fractal_dimension(sample), "Scorecard": card,
    }  # fmt: skip
    for kind in FRACTALS:
        objects[kind.__name__] = kind(**{each.name: by_name[each.name] for each in _parameters(kind)})
    return by_name, objects


OWN = {  # where a name means something else
    "analyze": {"method": nmfa.SCALE_FREE}, "box_counting": {"what": MEASURE},
    "geodesic_distances": {"method": nmfa.GEODESIC},
    "ball_masses": {"method": nmfa.SANDBOX.replace(radii="natural"), "natural_radii": [1.0, 2.0]},
    "scorecard": {"what": len, "runs": None}, "confidence": {"start": None},
    "Cascade.exact_ball": {"r": 1}, "Spectrum.band": {"name": "alpha0"}, "register_method": {"method": nmfa.PAPER},
    "register_part": {"name": "inverse"},
    "Method": {"window": [1.0, 9.0], "radii": [1.0, 2.0], "scaling_range": [1.0, 9.0]},
}  # fmt: skip


def argued(name):
    """(call, its good arguments, the parameters to try) of one public call."""
    by_name, objects = good()
    owner, _, method = name.partition(".")
    call = getattr(objects[owner], method) if method else PUBLIC[name]
    known = {each.name: (by_name | OWN.get(name, {}))[each.name] for each in _parameters(call)}
    known |= {"network": objects["NeuronNetwork"]} if name == "redraws" else {}  # no sample
    return call, known, _parameters(call)


NO_NUMBERS = (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.masked, "text", b"bytes", object(), [[1, 2], [3]], {}, {1, 2})
NO_NUMBERS += (np.array([1 + 1j, 2]), np.array(["2020-01-01"], "M8[D]"), np.zeros(2, [("a", int)]))
FOUR, NAN = np.ones((2, 2, 2, 2)), [1, np.nan, 3]
BAD = {  # by the kind of the good one; every one of these has to be refused
    nmfa.Method: (None, "paper", "nonsense", True, nmfa.Method, object(), [nmfa.PAPER], np.ones(3)),
    bool: (None, 1, "yes", [], np.ones(3), np.ma.masked),
    int: (None, True, -1, 2.5, "2", 10**30, 10**5000, np.nan, np.array(1), *NO_NUMBERS),
    float: (None, True, np.nan, -np.inf, 1j, "2", 10**5000, [1.0], *NO_NUMBERS),
    str: (None, 3, True, "no such thing", b"alpha0", ["layer"], np.array(["a", "b"]), *NO_NUMBERS),
    list: (None, 1j, [1.0, 10**5000], [2**53 + 1, 2**53 + 3, 2**53 + 5], [None, 1], NAN, FOUR, *NO_NUMBERS),
    object: (3, True, "text", b"bytes", object(), {}, [], 1j, np.ma.array([0.2] * 5, mask=[0, 1, 0, 0, 0])),
}
RIGHT = {  # and what is right all the same
    "largest": (np.inf,), "name": ("no such thing", "text"), "neurons_per_layer": (None,), "weights": (NAN,),
    "window": (None,), "q": (FOUR,), "r": (FOUR,),
}  # fmt: skip


def _kind(value):
    kind = list if isinstance(value, np.ndarray) else type(value)
    if kind is list and not all(isinstance(each, (int, float, np.ndarray, np.floating)) for each in value):
        return object
    return kind if kind in BAD else object


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_what_makes_no_right_answer_is_refused_by_name(name):
    call, known, parameters = argued(name)
    for parameter in parameters:
        for bad in BAD[_kind(known[parameter.name])]:
            right = (parameter.default, *RIGHT.get(parameter.name, ()))
            if any(bad is each or (type(bad) is type(each) is str and bad == each) for each in right):
                continue
            try:
                call(**{**known, parameter.name: bad})
            except NeuroMFAError as error:
                assert parameter.name == "source" or "\n" not in str(error)
                if _kind(known[parameter.name]) is nmfa.Method:
                    assert "method=" in str(error) and "nmfa.METHODS" in str(error)
            except Exception as error:
                error.add_note(f"{name}({parameter.name}={bad!r:.80})")
                raise
            else:
                pytest.fail(f"{name}({parameter.name}={bad!r:.80}) was taken")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_refuses_what_is_no_method(panel):
    for bad in BAD[nmfa.Method]:
        with pytest.raises(NeuroMFAError, match=r"method=.*nmfa\.METHODS"):
            panel(method=bad)


def test_names_of_matrices_that_are_none_are_refused():
    for bad in ("nonsense", None, 3, [], {}, np.ones(3)):
        with pytest.raises(NeuroMFAError, match="no matrix"):
            good()[1]["NeuronNetwork"].without(bad)


def test_a_number_of_a_neuron_that_no_memory_holds_is_refused():
    for far in (2**40, 2**62):
        with pytest.raises(NeuroMFAError, match=r"without gaps|numbers from 0 to 1e\+18"):
            nmfa.NeuronNetwork.from_edges([0, far], [1, 0], [0.5, 0.5])


def test_whole_numbers_are_taken_as_long_as_a_float_holds_them():
    exact = nmfa.NeuronNetwork.from_edges([0], [1], [2**53])
    assert exact.weight_blocks[0].weights().tolist() == [2.0**53]
    for beyond in (2**53 + 1, -(2**60)):
        with pytest.raises(NeuroMFAError, match="beyond 2"):
            nmfa.NeuronNetwork.from_edges([0], [1], [beyond])


@pytest.mark.parametrize("derivative", ["exact", "forward"])
def test_the_largest_orders_give_finite_exponents_and_larger_ones_are_named(derivative):
    sample, orders = good()[0]["network"], [-1e6, -1e3, 0, 1e3, 1e6]
    spectrum = nmfa.analyze(sample, nmfa.SCALE_FREE.replace(q=orders, derivative=derivative))
    for name in ("tau", "alpha", "f", "alpha0", "width", "r2_by_q", "residuals", "log_partition"):
        assert np.isfinite(getattr(spectrum, name)).all()
    for name in ("tau", "alpha", "f"):
        assert np.isfinite(spectrum.band(name)).all()
    with pytest.raises(NeuroMFAError, match=r"q holds 1e\+07"):
        nmfa.PAPER.replace(q=[0, 1e7], derivative=derivative)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_at_the_ends_of_float64_are_counted_or_named_without_a_warning():
    tiny = nmfa.NeuronNetwork.from_edges([0] * 20, range(1, 21), [5e-324] * 5 + [0.1] * 15)
    assert count_masses(tiny).inside.max() == 15
    for work, words in (
        (lambda: nmfa.analyze(tiny, nmfa.SCALE_FREE), "infinite"),
        (
            lambda: nmfa.analyze(good()[0]["network"], nmfa.SCALE_FREE.replace(radii=[1e-320, 1, 1e308])),
            "radii from .* too far apart",
        ),
        (lambda: nmfa.analyze(np.full(8, 1e308), nmfa.SANDBOX), "sum to more than"),
    ):
        with pytest.raises(NeuroMFAError, match=words):
            work()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bands_where_one_box_outweighs_all_others_are_finite_or_refused():
    measure = np.ones(16)
    method = nmfa.SANDBOX.replace(q=[-3, 0])
    measure[5] = 1e-60
    bands = nmfa.confidence(measure, method, resamples=200)
    assert np.isfinite(bands.tau_band).all() and np.isfinite(bands.alpha_band).all()
    measure[5] = 1e-78
    with pytest.raises(NeuroMFAError, match="outweigh all others"):
        nmfa.confidence(measure, method, resamples=200)
