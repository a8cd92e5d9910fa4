"""Scorecards: their questions against plain arithmetic, one checkpoint's reach, bad input, what is shipped."""

import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation import abilities_after
from neuromfa_lite.evaluation.ask import bundled_runs
from neuromfa_lite.evaluation.card import Scorecard
from neuromfa_lite.evaluation.cells import jackknife, row_of, smallest_largest
from neuromfa_lite.evaluation.changes import PRESERVING, changed
from neuromfa_lite.evaluation.controls import emergence_from
from neuromfa_lite.evaluation.measures.baselines import BASELINES
from neuromfa_lite.evaluation.measures.token_clouds import token_cloud
from neuromfa_lite.evaluation.questions import association, contrast, control_cells, half_way, timing_cell
from neuromfa_lite.evaluation.shipped import SHIPPED, fresh_scorecard, shipped_measures, shipped_scorecard
from neuromfa_lite.evaluation.values import ability_of, name_of, of_change, rise_after, values_of


def pair():
    return [nmfa.load_run("induction"), nmfa.load_run("induction-control")]


def weight_size(checkpoint):
    return float(np.mean([np.abs(block.weights()).mean() for block in nmfa.load_network(checkpoint).weight_blocks]))


@pytest.fixture(scope="module")
def card():
    return nmfa.scorecard([nmfa.PAPER, weight_size], pair(), samples=3, progress=False)


def cell(card, method, name, run="induction", step=None):
    rows = [row for row in card.rows if (row["method"], row["property"], row["run"]) == (method, name, run)]
    return next(row for row in rows if step is None or row["step"] == step)


def test_contrast():
    assert contrast(3.0, 1.0) == 0.5 and contrast(1.0, 1.0) == 0.0 and contrast(0.0, 0.0) == 0.0
    assert contrast(1.0, -2.0) == 1.0 and contrast(-1.0, 2.0) == -1.0
    assert (contrast(np.array([2.0, 0.0]), np.array([0.0, 2.0])) == [1, -1]).all()


def test_half_way():
    assert half_way(np.array([0, 1, 3]), np.array([0.0, 0.5, 1.0])) == pytest.approx(1.0)
    assert half_way(np.array([0, 1, 3]), np.array([0.0, 0.0, -2.0])) == pytest.approx(math.exp(1.5 * math.log(2)) - 1)
    assert half_way(np.array([0, 1]), np.array([1.0, 1.0])) == 0 and half_way(np.array([0, 1]), np.zeros(2)) is None


def rises_made_up(rises, steps):
    """The table of an invented run, of {seed: (steps, samples) rises} and {seed: steps}."""
    tables = {seed: pd.DataFrame(values, index=steps[seed]) for seed, values in rises.items()}
    return pd.concat(tables, names=["seed", "step"])


def timing_of(rises, steps, ability):
    """The cell of timing, of {seed: values}; its ability as a Series."""
    series = {seed: pd.Series(values, index=steps[seed]) for seed, values in ability.items()}
    return timing_cell(rises_made_up(rises, steps), pd.concat(series, names=["seed", "step"]))


def in_standard_deviations(mine, theirs):
    """An effect size in plain loops: the difference of means in the root of the mean variance."""
    means, variances = [], []
    for values in (mine, theirs):
        means.append(sum(values) / len(values))
        variances.append(sum((value - means[-1]) ** 2 for value in values) / (len(values) - 1))
    return (means[0] - means[1]) / math.sqrt(sum(variances) / 2)


def test_the_range_of_an_effect_where_one_seed_holds_the_step_leaves_out_samples():
    generator = np.random.default_rng(4)
    steps = {0: np.array([0, 256, 500]), 1: np.array([0, 500]), 2: np.array([0, 500])}
    sides = []
    for height in (3.0, 1.0):
        rises = {seed: generator.normal(height, 1, (len(each), 6)) for seed, each in steps.items()}
        sides.append(rises_made_up(rises, steps))
    mine, theirs = (side.loc[(0, 256)].tolist() for side in sides)
    without = [
        in_standard_deviations(mine[:place] + mine[place + 1 :], theirs[:place] + theirs[place + 1 :])
        for place in range(6)
    ]
    middle = sum(without) / 6
    error = math.sqrt(5 / 6 * sum((each - middle) ** 2 for each in without))
    cells = control_cells(sides[0], "control", sides[1])
    early, late = (cell for cell in cells if cell.property == "effect against control")
    value = in_standard_deviations(mine, theirs)
    assert early.step == 256 and early.looks == 12
    half = 1.6448536 * error
    assert (early.value, early.low, early.high) == pytest.approx((value, value - half, value + half))
    assert early.note == "one training seed at this step; range over samples alone"
    assert late.note == "" and late.low <= late.value <= late.high


def test_a_jackknife_covers_what_it_says_and_the_smallest_and_largest_do_not():
    """Nine in ten intervals hold the truth, or as many as with 1.64 in place of Student's 1.83 (0.866)."""
    generator, truth, draws = np.random.default_rng(0), 2.0, 1000
    held = {jackknife: 0, smallest_largest: 0}
    for _ in range(draws):
        mine, theirs = generator.normal(truth, 1, 10), generator.normal(0, 1, 10)
        value = in_standard_deviations(mine, theirs)
        without = [in_standard_deviations(np.delete(mine, i), np.delete(theirs, i)) for i in range(10)]
        for spread in held:
            low, high = spread(value, without)
            held[spread] += low <= truth <= high
    doubt = 3 * math.sqrt(0.9 * 0.1 / draws)
    assert 0.866 - doubt < held[jackknife] / draws < 0.9 + doubt
    assert held[smallest_largest] / draws < 0.6


def octaves_by_hand(steps, rises, ability):
    """log2 of the ratio of 1 + the steps at which rises and ability first reach half of their ends, in plain loops."""

    def half(values):
        for place in range(1, len(values)):
            if values[place] / values[-1] >= 0.5:
                before, after = values[place - 1] / values[-1], values[place] / values[-1]
                low, high = math.log(1 + steps[place - 1]), math.log(1 + steps[place])
                return math.exp(low + (0.5 - before) / (after - before) * (high - low))

    return math.log2(half(rises) / half([value - ability[0] for value in ability]))


def timing_made_up():
    """Steps, rises and ability of three invented trainings, the first stored at seven steps, the others at four."""
    steps = {0: [0, 1, 3, 7, 15, 31, 63], 1: [0, 3, 15, 63], 2: [0, 3, 15, 63]}
    clock = {seed: np.log1p(each) / np.log(64) for seed, each in steps.items()}
    ability = {seed: 0.1 + clock[seed] ** (3 + seed) for seed in steps}
    rises = {
        seed: np.stack([clock[seed] ** (2.0 + 0.2 * sample + 0.1 * seed) for sample in range(4)], 1) for seed in steps
    }
    return steps, rises, ability


def test_half_way_of_all_seeds_corrects_for_the_steps_that_the_others_lack():
    steps, rises, ability = timing_made_up()

    def by_hand(seed, taken):
        places = [steps[seed].index(step) for step in taken]
        return [octaves_by_hand(taken, rises[seed][places, sample], ability[seed][places]) for sample in range(4)]

    fine, thinned = by_hand(0, steps[0]), by_hand(0, steps[1])
    shift = (sum(fine) - sum(thinned)) / 4
    assert abs(shift) > 0.01
    pairs = fine + [each + shift for seed in (1, 2) for each in by_hand(seed, steps[1])]
    cell = timing_of(rises, steps, ability)
    assert cell.value == pytest.approx(sum(pairs) / 12)
    assert (cell.low, cell.high) == pytest.approx(
        tuple(np.quantile(pairs, (0.05, 0.95)))
    ) and cell.low < cell.value < cell.high
    assert cell.looks == 4 * (7 + 4 + 4)
    assert (
        "seed 0, of 7 steps" in cell.note
        and cell.note.count("of 4, ") == 2
        and f"corrected by {shift:+.2f}" in cell.note
    )


def test_seeds_of_the_same_steps_are_not_corrected():
    steps, rises, ability = timing_made_up()
    rises, ability = {0: rises[1], 1: rises[2]}, {0: ability[1], 1: ability[2]}
    cell = timing_of(rises, {0: steps[1], 1: steps[2]}, ability)
    pairs = [octaves_by_hand(steps[1], rises[seed][:, sample], ability[seed]) for seed in (0, 1) for sample in range(4)]
    assert cell.value == pytest.approx(sum(pairs) / 8) and "corrected" not in cell.note


def test_a_seed_without_a_time_of_half_is_left_out_in_words():
    steps, rises, ability = timing_made_up()
    rises[1] = rises[1] * [1, -1, 1, -1]
    ability[2] = ability[2][::-1]
    cell = timing_of(rises, steps, ability)
    assert "seed 1 left out: its own rise is within twice its spread over samples" in cell.note
    assert "seed 2 left out: the ability does not rise" in cell.note and cell.looks == 28
    assert cell.low < cell.value < cell.high
    cell = timing_of({0: rises[0][:, :1]}, steps, {0: ability[0]})
    assert (cell.low, cell.high) == (None, None)
    note = row_of("mine", "able", cell, "nothing drawn")["note"]
    assert note.endswith("one training seed and nothing drawn: no spread can be known")
    rises[0] = rises[0] * [1, -1, 1, -1]
    cell = timing_of(rises, steps, ability)
    assert cell.value is None and cell.note == "its own rise is within twice its spread over samples"


def test_two_trainings_with_two_steps_in_common_do_not_time_each_other():
    steps, rises, ability = timing_made_up()
    ends = {0: steps[0], 1: [0, 63]}
    rises, ability = {0: rises[0], 1: rises[1][[0, 3]]}, {0: ability[0], 1: ability[1][[0, 3]]}
    cell = timing_of(rises, ends, ability)
    assert cell.looks == 28 and "seed 1 left out: too few of its steps are those of seed 0" in cell.note


def test_samples_that_are_all_equal_are_one_look():
    """The vocabulary of induction is small: every draw of tokens is all of them."""

    def undrawn(checkpoint):
        return token_cloud(checkpoint)

    drawn = nmfa.scorecard([token_cloud, undrawn], pair(), samples=4, progress=False).frame()
    columns = ["property", "run", "step", "value", "low", "high", "looks", "note"]
    one, other = (drawn[drawn["method"] == name][columns].reset_index(drop=True) for name in ("token cloud", "undrawn"))
    assert one.equals(other) and len(one) > 20
    noise = one[one["property"] == "noise of samples"]
    assert noise["value"].isna().all() and set(noise["note"]) == {"nothing drawn"}
    assert one.set_index(["property", "run"]).loc[("rise at the end", "induction"), "looks"] == 3


@pytest.mark.parametrize(("seeds", "samples"), [((0,), 1), ((0,), 4), ((0, 1), 1), ((0, 1), 4)])
def test_a_number_without_a_spread_says_so_in_words(seeds, samples):
    def few(run):
        entries = [entry for entry in run.manifest["checkpoints"] if entry["seed"] in seeds]
        return type(run)(run.name, run.folder, run.manifest | {"checkpoints": entries})

    card = nmfa.scorecard([nmfa.PAPER, weight_size], [few(run) for run in pair()], samples=samples, progress=False)
    without = 0
    for row in card.rows:
        if row["value"] is None:
            assert row["note"], row
        elif row["low"] is None:
            assert row["high"] is None and row["note"].endswith("no spread can be known"), row
            without += 1
        else:
            assert row["low"] <= row["high"] and "no spread" not in row["note"], row
    assert without > 0


def test_the_rise_of_a_method_is_the_emergence_of_follow():
    run, method = nmfa.load_run("induction"), nmfa.PAPER
    rises, ability = of_change(values_of(run, method, 3)), ability_of(run)
    history = nmfa.follow(run, method, samples=3).frame("all")
    for seed in run.seeds:
        mine = history[history.training_seed == seed].pivot(index="step", columns="sample", values="emergence")
        assert rises.loc[seed].index.tolist() == ability.loc[seed].index.tolist() == mine.index.tolist()
        assert rises.loc[seed].to_numpy() == pytest.approx(mine.to_numpy(), abs=1e-12)
        assert ability.loc[seed].tolist() == run.abilities(seed).copy_accuracy.tolist()


def test_common_radii_of_a_run_are_those_of_follow():
    run, method = nmfa.load_run("induction-control"), nmfa.PAPER.replace(radii_scope="run")
    rises = of_change(values_of(run, method, 2))
    history = nmfa.follow(run, method, samples=2).frame(0)
    assert rises.loc[0].to_numpy().ravel() == pytest.approx(history.emergence.to_numpy(), abs=1e-12)


def test_half_as_many_neurons_may_be_drawn_where_all_of_them_were_not(monkeypatch):
    def states(what, checkpoint, samples, neurons_per_layer):
        drawn = np.arange(samples) if neurons_per_layer < 32 else np.zeros(samples)
        return np.stack([1 + drawn / (2 + checkpoint.step), np.ones(samples)], axis=1)

    monkeypatch.setattr("neuromfa_lite.evaluation.values.states", states)
    table = values_of(nmfa.load_run("induction"), nmfa.PAPER, 3, 32, ["another k", "random signs"])
    assert of_change(table).shape[1] == of_change(table, "random signs").shape[1] == 1
    assert of_change(table, "another k").shape == (3, 3) and table.index.names == ["change", "seed", "step"]


def test_association_is_the_correlation_of_every_seed_and_sample():
    run = nmfa.load_run("induction")
    rises, ability = of_change(values_of(run, nmfa.PAPER, 2)), ability_of(run)
    clock = of_change(values_of(run, BASELINES["log_step"]))
    found, beyond = association(rises, ability), association(rises, ability, clock)
    columns = [(rises.loc[seed][sample], ability.loc[seed]) for seed in run.seeds for sample in (0, 1)]
    expected = [np.corrcoef(column, target)[0, 1] for column, target in columns]
    assert found == pytest.approx(expected, abs=1e-12)
    own = [np.corrcoef(np.log1p(target.index), target)[0, 1] for _, target in columns]
    assert beyond == pytest.approx(np.array(expected) - own, abs=1e-12)


def test_a_clock_follows_no_ability_beyond_the_clock():
    row = cell(
        nmfa.scorecard(BASELINES["log_step"], pair(), progress=False), "log step", "follows ability beyond log(step)"
    )
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0, 0, 0), abs=1e-12)


def test_specific_and_effect_by_hand(card):
    rises = [of_change(values_of(run, nmfa.PAPER, 3)) for run in pair()]
    for step in (128, 256, 724):
        a, c = (np.concatenate([each.loc[(seed, step)] for seed in (0, 1, 2)]) for each in rises)
        row = cell(card, "paper", "specific against induction-control", step=step)
        assert row["value"] == pytest.approx((a.mean() - c.mean()) / (abs(a.mean()) + abs(c.mean())), rel=1e-5)
        effect = cell(card, "paper", "effect against induction-control", step=step)
        assert effect["value"] == pytest.approx(
            (a.mean() - c.mean()) / math.sqrt((a.var(ddof=1) + c.var(ddof=1)) / 2), rel=1e-5
        )
        assert effect["low"] <= effect["high"] and row["looks"] == 18


def test_noise_of_seeds_by_hand(card):
    rises = of_change(values_of(pair()[0], nmfa.PAPER, 3))
    means = np.array([rises.loc[(seed, 724)].mean() for seed in (0, 1, 2)])
    chosen = [means, *(np.delete(means, place) for place in range(3))]
    shares = [each.std(ddof=1) / (each.std(ddof=1) + abs(each.mean())) for each in chosen]
    row = cell(card, "paper", "noise of seeds")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((shares[0], min(shares), max(shares)), rel=1e-5)


def test_what_does_not_vary_has_no_effect_size():
    """The spread of three equal logarithms is rounding."""
    clock = nmfa.scorecard(lambda checkpoint: np.log1p(checkpoint.step) / 3, pair(), progress=False)
    for row in clock.rows:
        if row["property"].startswith("effect"):
            assert row["value"] is None and row["note"] == "no spread to measure the difference in"


def test_the_table_to_read_does_not_let_ups_and_downs_cancel():
    common = {"method": "mine", "low": None, "high": None, "looks": 2, "note": "", "step": 9}
    rows = [
        common | {"property": name, "run": run, "value": value}
        for name in ("moved by symmetry", "specific against a control")
        for run, value in (("up", 0.5), ("down", -0.5))
    ]
    table = Scorecard(tuple(rows), {}).pivot()["mine"]
    assert table["moved by symmetry"] == 0.5 and table["specific"] == 0.0
    assert "without the sign" in Scorecard(tuple(rows), {}).text()


def test_changes_by_hand(card):
    run = nmfa.load_run("induction")
    before = np.mean([rise_after(run, weight_size, seed=seed) for seed in run.seeds])
    start = np.mean([weight_size(run.checkpoint(0, seed)) for seed in run.seeds])
    row = cell(card, "weight size", "moved by a common factor")
    after = 2 * (before + start) - start
    assert row["value"] == pytest.approx((after - before) / (after + before), rel=1e-5)
    assert cell(card, "weight size", "moved by permuted connections")["value"] == pytest.approx(0, abs=1e-6)
    assert cell(card, "weight size", "moved by another k")["note"] == "it has no such setting"


def test_the_largest_of_the_symmetries_is_shown(card):
    run = nmfa.load_run("induction")

    def end(words=None):
        return np.mean([rise_after(run, nmfa.PAPER, words, seed, samples=3) for seed in run.seeds])

    found = {words: contrast(end(words), end()) for words in PRESERVING}
    row = cell(card, "paper", "moved by symmetry")
    most = max(found, key=lambda words: abs(found[words]))
    assert row["value"] == pytest.approx(found[most], rel=1e-5) and row["note"] == f"most by: {most}"
    assert abs(row["value"]) > 0.05


def test_a_changed_checkpoint_is_measured_like_any_other():
    run = nmfa.load_run("induction")
    start = nmfa.load_network(run.checkpoint(0))
    for words in ("a common factor", "random signs", "untrained weights, rescaled"):
        network = nmfa.load_network(changed(run, words))
        expected = emergence_from(start, [network], samples=1)[0]
        assert rise_after(run, nmfa.PAPER, words, samples=1)[0] == pytest.approx(expected, abs=1e-12)


def test_scale_free_ignores_a_common_factor_and_published_does_not(card):
    free = nmfa.scorecard(nmfa.SCALE_FREE, pair(), samples=2, progress=False)
    assert cell(free, "scale-free", "moved by a common factor")["value"] == pytest.approx(0, abs=1e-6)
    assert abs(cell(card, "paper", "moved by a common factor")["value"]) > 0.01


def test_the_model_itself_is_on_the_card(card):
    whole = cell(card, "the model itself", "ability")["value"]
    broken = cell(card, "the model itself", "ability after permuted connections")["value"]
    assert whole > 0.95 and broken < 0.1


INSIDE = ("rise", "noise", "follows", "half way", "effect", "ability")  # all but contrasts of means


def assert_whole(rows):
    """Every number has its looks and its range, the number inside where it is no contrast; what is missing says why."""
    for row in rows:
        if row["value"] is None:
            assert row["note"] and row["low"] is row["high"] is None, row
            continue
        assert math.isfinite(row["value"]) and row["looks"] > 0, row
        if row["low"] is None:
            assert row["high"] is None and row["note"].endswith("nothing drawn: no spread can be known"), row
            continue
        assert math.isfinite(row["low"]) and math.isfinite(row["high"]) and row["low"] <= row["high"], row
        if row["property"].startswith(INSIDE):
            rounding = 1e-5 * abs(row["value"])
            assert row["low"] - rounding <= row["value"] <= row["high"] + rounding, row


def test_every_cell_is_a_number_with_its_looks_or_says_why_not(card):
    assert_whole(card.rows)
    assert all(row["low"] is not None for row in card.rows if row["value"] is not None)
    keys = [(row["method"], row["property"], row["run"], row["step"]) for row in card.rows]
    assert len(set(keys)) == len(keys)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Copies of the pair of runs, in one of which a checkpoint is changed by :func:`touch`."""
    place = tmp_path_factory.mktemp("runs")
    for run in pair():
        shutil.copytree(run.folder, place / run.name)
    return place


def touch(folder, seed, step):
    path = folder / f"seed-{seed}" / f"step-{step:06d}" / "model.safetensors"
    tensors = load_file(path)
    tensors = {
        name: (value * 1.25).astype(value.dtype) if value.ndim == 2 else value for name, value in tensors.items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(("name", "seed", "step"), [("induction", 1, 724), ("induction-control", 0, 256)])
def test_one_changed_checkpoint_changes_the_cells_of_its_run_only(copies, name, seed, step):
    runs = [nmfa.load_run(copies / run.name) for run in pair()]
    measures = [nmfa.PAPER, weight_size]
    before = nmfa.scorecard(measures, runs, samples=2, progress=False)
    touch(copies / name, seed, step)
    after = nmfa.scorecard(measures, runs, samples=2, progress=False)
    different = [old for old, new in zip(before.rows, after.rows, strict=True) if old != new]
    # a run's cells are those called after it, and those of the run it controls that name it
    assert different and all(row["run"] == name or row["property"].endswith(f"against {name}") for row in different)
    assert {row["method"] for row in different} >= {"paper", "weight size"}


@pytest.mark.parametrize("step", [0, 724])
def test_no_stored_ability_is_taken_for_a_changed_checkpoint(copies, step):
    run = nmfa.load_run(copies / "induction")
    before = abilities_after._hash(run, 2)
    touch(copies / "induction", 2, step)
    assert abilities_after._hash(run, 2) != before and abilities_after._hash(run, 2) not in abilities_after._stored()


DRAWN = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda checkpoint: np.complex128(checkpoint.step + 5j), "one finite number"),
        (lambda checkpoint: np.bool_(True), "one finite number"),
        (lambda checkpoint: np.ma.masked, "one finite number"),
        (lambda checkpoint: float(checkpoint.step and DRAWN.random()), "gave two answers for induction@724"),
    ],
    ids=["complex", "truth", "masked", "late"],
)
def test_an_answer_that_is_no_number_or_two_is_refused(answer, message):
    with pytest.raises(NeuroMFAError, match=message):
        nmfa.scorecard(answer, [nmfa.load_run("induction")], samples=2, progress=False)


def test_bad_input_is_refused_before_any_work(copies, monkeypatch):
    run = nmfa.load_run("induction")
    with pytest.raises(NeuroMFAError, match="made of a Method or of a function"):
        nmfa.scorecard("paper")
    with pytest.raises(NeuroMFAError, match="two measures of one scorecard are called paper"):
        nmfa.scorecard([nmfa.PAPER, nmfa.PAPER])
    with pytest.raises(NeuroMFAError, match="no run: open it with"):
        nmfa.scorecard(nmfa.PAPER, ["induction"])
    with pytest.raises(NeuroMFAError, match="two runs of one scorecard are called induction"):
        nmfa.scorecard(nmfa.PAPER, [run, nmfa.load_run(copies / "induction")])
    with pytest.raises(NeuroMFAError, match="runs is empty"):
        nmfa.scorecard(nmfa.PAPER, [])
    for samples in (0, 2.5, True):
        with pytest.raises(NeuroMFAError, match=r"samples=.* must be a whole number"):
            nmfa.scorecard(nmfa.PAPER, [run], samples=samples)
    measured = []

    def count(checkpoint):
        measured.append(checkpoint)
        return float("nan")

    with pytest.raises(NeuroMFAError, match="count returned nan for induction@0"):
        nmfa.scorecard(count, [run])
    assert len(measured) == 1

    drawn = np.random.default_rng(0)

    def stops(checkpoint):
        sys.exit("enough")

    for function, message in (
        (stops, "stops raised SystemExit: enough for induction@0"),
        (lambda checkpoint: 1 / 0, "lambda> raised ZeroDivisionError: division by zero for induction@0"),
        (lambda checkpoint: drawn.random(), "lambda> gave two answers for induction@0, 0.*let it draw"),
        (lambda checkpoint, seed: drawn.random() + seed, "gave two answers for induction@0"),
    ):
        with pytest.raises(NeuroMFAError, match=message):
            nmfa.scorecard(function, [run], samples=2)

    def interrupted(checkpoint):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nmfa.scorecard(interrupted, [run])

    def never(checkpoint):
        raise AssertionError("measured before the runs were checked")

    entries = run.manifest["checkpoints"]
    late = type(run)(run.name, run.folder, run.manifest | {"checkpoints": [e for e in entries if e["step"] > 0]})
    with pytest.raises(NeuroMFAError, match="step 0 is missing"):
        nmfa.scorecard(never, [late])
    bare = [e | {"abilities": {}} if e["step"] == 128 else e for e in entries]
    with pytest.raises(NeuroMFAError, match="step 128 of seed 0 has no ability 'copy_accuracy'"):
        nmfa.scorecard(never, [type(run)(run.name, run.folder, run.manifest | {"checkpoints": bare})])


def test_save_and_load(card, tmp_path):
    path = card.save(tmp_path / "mine.json")
    again = Scorecard.load(path)
    assert again.rows == card.rows and again.methods == card.methods
    assert [each.name for each in tmp_path.iterdir()] == ["mine.json"]
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(NeuroMFAError, match=r"bad\.json is damaged"):
        Scorecard.load(tmp_path / "bad.json")
    with pytest.raises(NeuroMFAError, match="no such folder"):
        card.save(tmp_path / "nowhere" / "mine.json")


def test_beside_takes_the_own_one_of_two(card):
    other = Scorecard(tuple(row | {"value": 0.5} for row in card.rows if row["method"] == "paper"), {})
    assert other.beside(card).rows[: len(other.rows)] == other.rows
    assert set(other.beside(card).methods) == set(card.methods)


def test_the_picture_has_a_row_per_measure(card):
    ax = card.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["paper", "weight size"]
    assert len(ax.get_xticklabels()) == 11 and ax.get_legend() is not None


def test_the_shipped_card_holds_the_published_method_its_variants_and_every_baseline():
    methods = shipped_scorecard().methods
    assert {"published", "scale-free", "geodesic", "NFD only", "token cloud", "two neighbours"} <= set(methods)
    assert {name.replace("_", " ") for name in BASELINES} <= set(methods)
    names = [name_of(each) for each in shipped_measures()]
    assert list(methods[: len(names)]) == names


def test_every_shipped_number_has_its_range_and_every_empty_cell_a_reason():
    rows = shipped_scorecard().rows
    assert_whole(rows)
    assert not [row for row in rows if row["value"] is not None and None in (row["low"], row["high"])]


def assert_shipped(measures):
    """Every number of some measures, computed anew, is the shipped one."""
    shipped = {
        tuple(row[key] for key in ("method", "property", "run", "step")): row for row in shipped_scorecard().rows
    }
    fresh = nmfa.scorecard(measures, progress=False)
    for row in fresh.rows:
        stored = shipped[tuple(row[key] for key in ("method", "property", "run", "step"))]
        for key in ("value", "low", "high"):
            expected = row[key] if row[key] is None else pytest.approx(row[key], abs=1e-5, rel=1e-4)
            assert stored[key] == expected, row
    return fresh


def test_shipped_numbers_are_what_the_command_computes():
    assert_shipped([nmfa.PUBLISHED, token_cloud, BASELINES["weight_deviation"]])


@pytest.mark.retraining
def test_the_whole_shipped_card_is_what_the_command_computes():
    fresh = assert_shipped(shipped_measures())
    assert len(fresh.rows) == len(shipped_scorecard().rows)


def test_the_command_prints_the_shipped_table():
    from neuromfa_lite.cli.commands import main

    printed = json.loads(CliRunner().invoke(main, ["scorecard", "--json"]).output)
    assert printed == json.loads(SHIPPED.read_text())["cells"]
    assert {"method", "property", "run", "value", "low", "high"} <= set(printed[0])
    table = CliRunner().invoke(main, ["scorecard"]).output
    assert table == (Path(__file__).parents[2] / "docs" / "scorecard.txt").read_text()


def test_the_command_shows_some_runs_of_the_shipped_card_and_refuses_what_it_would_ignore():
    from neuromfa_lite.cli.commands import main

    printed = json.loads(CliRunner().invoke(main, ["scorecard", "--run", "code-lm", "--json"]).output)
    assert printed == [row for row in json.loads(SHIPPED.read_text())["cells"] if row["run"] == "code-lm"]
    for words, message in (
        (["--run", "nowhere"], "no run 'nowhere' is on this scorecard; there are code-lm"),
        (["--shipped", "published"], "give no METHOD"),
        (["nonsense"], "no measure 'nonsense': use one of published, .*two neighbours.*weight deviation"),
    ):
        result = CliRunner().invoke(main, ["scorecard", *words])
        assert result.exit_code != 0 and re.search(message, result.output + str(result.exception), re.DOTALL)


def test_the_command_takes_a_function_and_a_method_out_of_files(tmp_path):
    from neuromfa_lite.cli.commands import main

    head = "import numpy as np\nimport neuromfa_lite as nmfa\n"
    (tmp_path / "mine.py").write_text(head + "VARIANT = nmfa.PAPER.replace(name='mine', q=[-1, 0, 1])\n")
    (tmp_path / "largest.py").write_text(
        head
        + "def largest(checkpoint):\n"
        + "    return float(np.mean([abs(b.weights()).max() for b in nmfa.load_network(checkpoint).weight_blocks]))\n"
    )
    words = [str(tmp_path / "mine.py"), f"{tmp_path / 'largest.py'}:largest", "--run", "induction", "--samples", "2"]
    result = CliRunner().invoke(main, ["scorecard", *words, "--run", "induction-control", "--json"])
    rows = json.loads(result.stdout)
    assert {row["method"] for row in rows} == {"mine", "largest", "the model itself"}
    assert any(row["property"] == "specific against induction-control" and row["value"] > 0 for row in rows)


def test_the_younger_trainings_have_every_frozen_measure_and_every_run():
    card, bundled = fresh_scorecard(), {run.name for run in bundled_runs()}
    assert set(card.methods) >= {"published", "token cloud", "two neighbours", "token agreement", "reciprocity"}
    assert {row["run"] for row in card.rows} == bundled
    for row in card.rows:  # of two trainings none can be left out, so their noise has no range
        assert (row["value"] is not None and row["low"] is not None) or row["note"], row
    published = [row for row in card.rows if row["method"] == "published"]
    pairs = [row for row in published if row["property"].startswith("specific against")]
    last = {run: max(row["step"] for row in pairs if row["run"] == run) for run in {row["run"] for row in pairs}}
    judged = [row for row in pairs if row["step"] in (256, last[row["run"]])]
    assert len(judged) == 10 and all(None not in (row["value"], row["low"], row["high"]) for row in judged)


def test_two_steps_say_nothing_about_time_and_association():
    steps, rises, ability = {0: [0, 8]}, {0: np.array([[0.0], [1.0]])}, {0: np.array([0.0, 1.0])}
    cell = timing_of(rises, steps, ability)
    assert cell.value is None and "2 steps" in cell.note
    series = pd.concat({0: pd.Series(ability[0], index=steps[0])}, names=["seed", "step"])
    assert not len(association(rises_made_up(rises, steps), series))
