"""Variants: ready ideas, parts that are functions (of NumPy or compiled), files of one's own, and bad ones refused."""

import itertools
import json
import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from numba import njit, vectorize

import neuromfa_lite as nmfa
from neuromfa_lite import METHODS, PAPER, SCALE_FREE, NeuronNetwork, load_network, load_variant, register_method
from neuromfa_lite.cli.commands import main
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation.controls import FUNCTION_PRESERVING, scaled
from neuromfa_lite.method import PARTS, SHIPPED, register_part
from neuromfa_lite.method.ideas import IDEAS
from neuromfa_lite.network import chain
from neuromfa_lite.network.connections import Fixed
from neuromfa_lite.study import measure as study
from neuromfa_lite.weights import WeightMatrix

FEW = {"samples": 2, "neurons_per_layer": 16, "steps": [0, 128, 724]}


def sample(step=724, size=32, wiring="chain"):
    return load_network(nmfa.load_run("induction").checkpoint(step), wiring=wiring).sample(size, seed=0)


# --- the shipped ideas -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["induction", "induction-control"])
@pytest.mark.parametrize("method", IDEAS, ids=lambda method: method.name)
def test_every_idea_is_analyzed_and_followed(method, run):
    run = nmfa.load_run(run)
    spectrum = nmfa.analyze(load_network(run.checkpoint(724), wiring=method.wiring).sample(16), method)
    assert spectrum.method == method.name and np.isfinite(spectrum.alpha0)
    history = nmfa.follow(run, method, **FEW)
    assert history.summary()["emergence"].iloc[0] == 0 and np.isfinite(history.emergence).all()
    assert history.method_key == method.key


def test_at_least_six_ideas_have_names_and_differ():
    assert len(IDEAS) >= 6
    assert len({method.key for method in METHODS.values()}) == len(METHODS) >= 6 + len(IDEAS)
    assert all(METHODS[method.name] is method for method in IDEAS)


def test_the_scale_free_ideas_ignore_one_common_factor():
    network = sample()
    for method in IDEAS:
        if method.wiring == "chain" and "median" in method.distance:
            twice = NeuronNetwork(network.layers, [_scaled(block) for block in network.blocks])
            np.testing.assert_array_equal(nmfa.analyze(twice, method).tau, nmfa.analyze(network, method).tau)


def _scaled(block):
    if not hasattr(block, "matrix"):
        return block
    return replace(block, matrix=WeightMatrix.from_array(block.name, block.weights() * np.float32(4)))


# --- functions as parts: NumPy, compiled, named --------------------------------------------------------------------


def numpy_distance(weights):
    return np.maximum(-np.log(np.abs(weights)), 0.0)


@njit
def compiled_distance(weights):
    return np.maximum(-np.log(np.abs(weights)), 0.0)


@njit
def compiled_loop(weights):
    distances = np.empty_like(weights)
    for target in range(weights.shape[0]):
        for source in range(weights.shape[1]):
            distances[target, source] = max(-np.log(abs(weights[target, source])), 0.0)
    return distances


@vectorize
def of_one_number(weight):
    return max(-np.log(abs(weight)), 0.0)


@njit
def compiled_radii(distances):
    # geomspace and quantile of lists, which numba knows in part
    low, high = np.quantile(distances, 0.02), np.quantile(distances, 0.90)
    return np.exp(np.linspace(np.log(low), np.log(high), 20))


@njit
def compiled_mass(counts):
    shares = np.empty(counts.shape)
    for neuron in range(counts.shape[0]):
        for radius in range(counts.shape[1]):
            shares[neuron, radius] = counts[neuron, radius] / counts[neuron, -1]
    return shares


@njit
def compiled_score(alpha0, width, alpha0_start, width_start):
    return width / width_start * np.log(alpha0_start / alpha0)


@pytest.mark.parametrize("distance", [numpy_distance, compiled_distance, compiled_loop, of_one_number])
def test_a_distance_may_be_of_numpy_or_compiled(distance):
    named = nmfa.analyze(sample(), SCALE_FREE.replace(distance="minus-log"))
    found = nmfa.analyze(sample(), SCALE_FREE.replace(distance=distance))
    np.testing.assert_allclose(found.tau, named.tau, atol=1e-12)


@pytest.mark.parametrize("field, part", [("radii", compiled_radii), ("mass", compiled_mass)])
def test_radii_and_mass_may_be_compiled(field, part):
    found = nmfa.analyze(sample(), SCALE_FREE.replace(**{field: part}))
    np.testing.assert_allclose(found.tau, nmfa.analyze(sample(), SCALE_FREE).tau, atol=2e-3 if field == "radii" else 0)


def test_a_score_may_be_compiled_or_of_numpy():
    run = nmfa.load_run("induction")
    expected = nmfa.follow(run, **FEW)
    for score in (compiled_score, lambda *values: compiled_score.py_func(*values)):
        found = nmfa.follow(run, PAPER.replace(score=score), **FEW)
        np.testing.assert_allclose(found.emergence, expected.emergence, rtol=1e-12)
        np.testing.assert_allclose(found.summary()["emergence"], expected.summary()["emergence"], rtol=1e-12)


def test_a_compiled_distance_goes_along_paths():
    method = PAPER.replace(reach="geodesic")
    inverse = njit(lambda weights: 1.0 / np.abs(weights))
    found = nmfa.analyze(sample(size=8), method.replace(distance=inverse))
    np.testing.assert_array_equal(found.tau, nmfa.analyze(sample(size=8), method).tau)


def test_keys_tell_functions_apart_also_by_what_they_captured_and_by_defaults():
    def powers(exponent):
        return lambda weights: np.abs(weights) ** -exponent

    def default(exponent):
        def distance(weights, power=exponent):
            return np.abs(weights) ** -power

        return distance

    compiled = [njit(powers(exponent)) for exponent in (1, 2)]
    makers = [
        lambda e: powers(e),
        lambda e: default(e),
        lambda e: (lambda inner: lambda weights: inner(weights))(compiled[e - 1]),
    ]
    for make in makers:
        keys = [SCALE_FREE.replace(distance=make(exponent)).key for exponent in (1, 2, 1)]
        assert keys[0] == keys[2] != keys[1]


# --- names --------------------------------------------------------------------------------------------------------


def test_a_registered_part_and_method_are_found_by_name(tmp_path):
    register_part("distance", "test-root", lambda weights: np.abs(weights) ** -0.5)
    mine = register_method(SCALE_FREE.replace(name="test-mine", distance="test-root"))
    try:
        assert register_method(mine.replace(name="test-mine", q=(0.0, 1.0))) is METHODS["test-mine"]  # a cell run again
        result = CliRunner().invoke(main, ["analyze", "induction@724", "--method", "test-mine", "--json"])
        assert json.loads(result.stdout)["q"] == [0, 1]
    finally:
        METHODS.pop("test-mine")
        PARTS["distance"].pop("test-root")


def test_shipped_names_are_not_taken():
    with pytest.raises(NeuroMFAError, match="'scale-free' is shipped"):
        register_method(PAPER.replace(name="scale-free"))
    with pytest.raises(NeuroMFAError, match="must be a Method"):
        register_method(numpy_distance)
    with pytest.raises(NeuroMFAError, match="'chain' is taken"):
        register_part("wiring", "chain", numpy_distance)
    with pytest.raises(NeuroMFAError, match="must be a callable"):
        register_part("distance", "new", 3)
    assert {field: frozenset(named) for field, named in PARTS.items()} == SHIPPED


# --- a variant in a file ------------------------------------------------------------------------------------------

FILE = """
import numpy as np

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER


def distance(weights):
    return np.abs(weights) ** -0.5


VARIANT = nmfa.SCALE_FREE.replace(name="square root", distance=distance, q=[-1.0, 0.0, 1.0])
other = VARIANT.replace(name="other", wiring="folded")


def level(checkpoint):
    return 1.0
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_variant.py"
    path.write_text(FILE)
    return path


def test_a_variant_unknown_to_the_package_goes_through_analyze_follow_and_the_command_line(file):
    mine, run = load_variant(file), nmfa.load_run("induction")
    spectrum = nmfa.analyze(sample(), mine)
    summary = nmfa.follow(run, mine, samples=2, steps=[0, 724]).summary()
    words = ["--method", str(file), "--json"]
    found = json.loads(CliRunner().invoke(main, ["analyze", "induction@724", *words]).stdout)
    assert found["alpha0"] == spectrum.alpha0 and found["method"] == "square root"
    assert found["method_key"] == mine.key
    followed = CliRunner().invoke(main, ["follow", "induction", "--samples", "2", "--steps", "0,724", *words])
    rows = json.loads(followed.stdout)["summary"]
    assert [row["emergence"] for row in rows] == summary["emergence"].tolist()


def test_the_command_line_takes_a_name_in_a_file_and_its_join(file):
    result = CliRunner().invoke(main, ["analyze", "induction@724", "--method", f"{file}:other", "--json"])
    expected = nmfa.analyze(sample(wiring="folded"), load_variant(file, "other"))
    assert json.loads(result.stdout)["alpha0"] == expected.alpha0


def test_a_file_is_read_anew_and_its_only_method_is_found(file):
    assert load_variant(file).key == load_variant(file).key
    first = load_variant(file)
    file.write_text(FILE.replace("-0.5", "-0.7"))  # of the same length, within the same second
    assert load_variant(file).key != first.key
    file.write_text("from neuromfa_lite import PAPER, SCALE_FREE\nanother = mine = PAPER.replace(name='alone')\n")
    assert load_variant(file).name == "alone"
    file.write_text("def VARIANT(checkpoint):\n    return 2.0\n")
    assert load_variant(file)(None) == 2.0


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = 1\ny = (\n", r"my_variant\.py, line 2: .*never closed"),
        ("x = 1\n\n1 / 0\n", r"my_variant\.py, line 3: ZeroDivisionError"),
        ("import neuromfa_lite as n\ndef f():\n    n.PAPER.replace(window=3)\nf()\n", r"line 3: NeuroMFAError: window"),
        ("import no_such_module\n", r"line 1: ModuleNotFoundError: .*no_such_module"),
        ("import sys\nsys.exit(3)\n", r"line 2: SystemExit"),
        ("from neuromfa_lite import PAPER\n", "makes no Method"),
        ("import neuromfa_lite as n\na, b = (n.PAPER.replace(name=x) for x in 'ab')\n", r"several Methods \(a, b\)"),
        ("VARIANT = 3\n", "VARIANT in .* is a int"),
        ("raise ValueError('first line\\nsecond line')\n", r"line 1: ValueError: first line; correct"),
        ("#" * 10_000_001, "more than 10,000,000 bytes"),
        ("x = '\0'", "null bytes"),
        (b"x = 'caf\xe9'\n", "utf-8"),
        ("(" * 10_000, r"my_variant\.py.*correct it and load it again"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(file, text, message):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NeuroMFAError, match=message) as caught:
        load_variant(file)
    assert "\n" not in str(caught.value)


def test_a_folder_a_pipe_and_a_home_of_nobody_are_no_variant(tmp_path):
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    for name, message in (("folder.py", "is a folder"), ("pipe.py", "no ordinary file"), ("a\0b.py", "zero byte")):
        with pytest.raises(NeuroMFAError, match=message):
            load_variant(tmp_path / name)
    with pytest.raises(NeuroMFAError, match="no such file"):
        load_variant("~nobody-of-this-name/x.py")


def test_a_join_that_draws_its_own_neurons_is_found():
    def drawn(source):
        made = chain(source)
        rows = DRAWN.permutation(64)
        return made.layers, [block.take(rows, np.arange(block.shape[1])) if block.shape[0] == 64 else block
                             for block in made.blocks if not isinstance(block, Fixed)]  # fmt: skip

    def more(source):
        made = chain(source)
        return made.layers, made.blocks[: next(COUNT) % 2 + 3]

    for wiring in (drawn, more):
        with pytest.raises(NeuroMFAError, match=f"wiring '{wiring.__name__}' gave two answers"):
            load_network(nmfa.load_run("induction").checkpoint(724), wiring=wiring)


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("distance", lambda weights: np.ma.masked_less(np.abs(weights) ** -0.5, 3)),
        ("radii", lambda distances: np.ma.masked_less(np.geomspace(1.0, 9.0, 9), 2)),
        ("mass", lambda counts: np.ma.masked_less(counts / counts.max(), 0.1)),
    ],
)
def test_a_part_that_returns_a_masked_array_is_refused(part, answer):
    with pytest.raises(NeuroMFAError, match=f"{part} .*returned a masked array"):
        nmfa.analyze(sample(), SCALE_FREE.replace(name="mine", **{part: answer}))


def test_a_part_with_a_name_that_has_no_value_yet_has_a_key():
    def part(weights):
        return np.abs(weights) ** power

    first = SCALE_FREE.replace(name="mine", distance=part).key
    power = -0.5
    assert SCALE_FREE.replace(name="mine", distance=part).key != first


def test_a_missing_file_or_name_is_refused(file, tmp_path):
    with pytest.raises(NeuroMFAError, match=r"other\.py: no such file; %%writefile"):
        load_variant(tmp_path / "other.py")
    with pytest.raises(NeuroMFAError, match="ordinary Python file"):
        load_variant(tmp_path / "variant.pkl")
    with pytest.raises(NeuroMFAError, match=r"defines no nothing; it defines .*VARIANT"):
        load_variant(file, "nothing")


@pytest.mark.parametrize(
    "word, message",
    [
        ("no-such", "use one of paper,.*folded-heads.*FILE.py:NAME"),
        ("{}:level", "needs a Method"),
    ],
)
def test_the_command_line_refuses_what_is_no_method(file, word, message):
    for command in (["analyze", "induction@724"], ["follow", "induction"]):
        result = CliRunner().invoke(main, [*command, "--method", word.format(file)])
        assert result.exit_code == 1 and "Traceback" not in result.output
        assert re.search(message, result.output)


# --- bad parts: named before the work -----------------------------------------------------------------------------

COUNT, DRAWN = itertools.count(1), np.random.default_rng(0)


def stops(*values):
    sys.exit("enough")


def in_place(distances):
    distances[:] = 1
    return np.array([1.0, 2.0])


BAD = [
    *((field, stops, "raised SystemExit: enough") for field in ("distance", "radii", "mass", "score")),
    ("distance", lambda w: DRAWN.random(w.shape), "two answers to one question: let it draw from a generator"),
    ("distance", lambda w: next(COUNT) / np.abs(w), "two answers"),
    ("radii", lambda d: np.array([1.0, 2.0, 3.0]) * next(COUNT), "two answers"),
    ("mass", lambda n: n / n[:, -1:] / next(COUNT), "two answers"),
    ("score", lambda *values: values[0] + next(COUNT), "two answers"),
    ("distance", lambda w: np.divide(1, np.abs(w, out=w), out=w), "changes the numbers that it is given"),
    ("radii", in_place, "changes the numbers that it is given"),
    ("mass", lambda n: np.divide(n, n[:, -1:], out=n, casting="unsafe"), "read-only"),
    ("score", lambda *values: np.add(*values[:2], out=values[0]), "changes the numbers that it is given"),
    ("distance", lambda w: w * np.nan, "infinite, negative or NaN"),
    ("distance", lambda w: -np.abs(w), "infinite, negative or NaN"),
    ("distance", lambda w: np.ones_like(w), "is 1 for all .* no two radii"),
    ("distance", lambda w: np.abs(w)[:, :1], r"returned float64 of shape \(\d+, 1\)"),
    ("distance", lambda w: w.astype(str), "returned <U"),
    ("distance", lambda w: None, "returned object"),
    ("distance", lambda w: w.no_such, "raised AttributeError"),
    ("distance", njit(lambda w: w.no_such), "raised TypingError"),
    ("radii", lambda d: d.max(), "positive, finite and increasing"),
    ("radii", lambda d: d[:1], "the single radius"),
    ("radii", lambda d: np.array([2.0, 1.0]), "positive, finite and increasing"),
    ("radii", lambda d: "few", "positive, finite and increasing"),
    ("radii", lambda d: 1 / 0, "raised ZeroDivisionError"),
    ("mass", lambda n: n[0], r"positive finite numbers.*it gave shape"),
    ("mass", lambda n: n * np.nan, "it gave NaN"),
    ("mass", lambda n: n - 1.0, "it gave NaN, infinite or not positive"),
    ("mass", lambda n, m: n, "raised TypeError"),
    ("score", lambda *values: np.nan, "one number for each"),
    ("score", lambda *values: values[0] * np.nan, "not finite"),
    ("score", lambda a: a, "raised TypeError"),
]


@pytest.mark.parametrize("field, part, message", BAD)
def test_a_bad_part_is_named_before_any_work(field, part, message, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work began")

    for name in ("count_masses", "spectrum_of_masses", "refuse_bad_network"):
        monkeypatch.setattr(study, name, work)
    method = SCALE_FREE.replace(name="mine", **{field: part})
    with pytest.raises(NeuroMFAError, match=f"(?s){field}.* method 'mine'.*{message}"):
        nmfa.follow(nmfa.load_run("induction"), method)
    with pytest.raises(NeuroMFAError, match=f"(?s){field}.* method 'mine'.*{message}"):
        nmfa.analyze(sample(), method)


def test_a_constant_length_is_good_for_paths():
    method = PAPER.replace(reach="geodesic-undirected", distance=np.ones_like, window=None, radii="every")
    assert len(nmfa.analyze(sample(size=8), method).radii) >= 2


def test_a_part_registered_by_name_is_tried_too():
    register_part("distance", "test-constant", np.ones_like)
    try:
        with pytest.raises(NeuroMFAError, match="no two radii"):
            nmfa.analyze(sample(), SCALE_FREE.replace(distance="test-constant"))
    finally:
        PARTS["distance"].pop("test-constant")


def test_a_weight_of_zero_is_no_connection_whatever_the_function_returns():
    network = NeuronNetwork.from_edges([0] * 6, range(1, 7), [0.0, 0.5, 0.25, 0.125, 0.1, 0.05])
    mine = SCALE_FREE.replace(distance=lambda weights: 1 / np.abs(weights), radii=[3, 9, 30])
    assert nmfa.analyze(network, mine).masses.counts.tolist() == [[2, 4, 6]]


class _Run:
    """The induction run, with something missing."""

    def __init__(self, ability="copy_accuracy", without_step=None, forgets=()):
        self._run, self.ability, self.forgets = nmfa.load_run("induction"), ability, forgets
        self.name, self.seeds, self._without = "incomplete", self._run.seeds, without_step

    def steps(self, seed=0):
        return tuple(step for step in self._run.steps(seed) if step != self._without)

    def checkpoint(self, step, seed=0):
        checkpoint = self._run.checkpoint(step, seed)
        return replace(checkpoint, abilities={}) if (seed, step) in self.forgets else checkpoint


@pytest.mark.parametrize(
    "run, message",
    [
        (_Run(without_step=0), "seed 0: step 0 is missing"),
        (_Run(ability="juggling"), r"step 0: its ability 'juggling' is not recorded there \('copy_accuracy' is\)"),
        (_Run(forgets=[(2, 256)]), r"seed 2, step 256: its ability 'copy_accuracy' is not recorded there \(none is\)"),
    ],
)
def test_a_run_without_step_0_or_ability_is_refused_before_any_work(run, message, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr(study, "load_network", work)
    with pytest.raises(NeuroMFAError, match=message):
        nmfa.follow(run)


def test_a_run_that_names_no_ability_is_followed_without():
    history = nmfa.follow(_Run(ability=None, forgets=[(0, 0)]), samples=1, steps=[0, 724], neurons_per_layer=8)
    assert np.isnan(history.ability).all()


# --- what the ideas are for: unchanged where the model's function is ---------------------------------------------


@pytest.mark.parametrize("change", [*FUNCTION_PRESERVING.values(), lambda checkpoint: scaled(checkpoint, 3)])
def test_folded_heads_ignore_a_common_factor_and_every_change_that_keeps_the_function(change):
    method, checkpoint = METHODS["folded-heads"], nmfa.load_run("induction").checkpoint(724)
    pair = (checkpoint, change(checkpoint))
    before, after = (nmfa.analyze(load_network(each, wiring=method.wiring), method) for each in pair)
    np.testing.assert_allclose(after.tau, before.tau, atol=1e-9)  # counts are whole numbers, radii equal to rounding


def test_the_published_method_does_not():
    checkpoint = nmfa.load_run("induction").checkpoint(724)
    before = nmfa.analyze(load_network(checkpoint)).alpha0
    changes = {name: change(checkpoint) for name, change in FUNCTION_PRESERVING.items()}
    moved = {name: abs(nmfa.analyze(load_network(each)).alpha0 - before) for name, each in changes.items()}
    assert sum(difference > 1e-2 for difference in moved.values()) >= 2, moved
