"""analyze() and follow(): what a user calls, on the bundled runs."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite.laboratory.runs import Run
from neuromfa_lite.study.measure import Trajectory

STEPS = [0, 128, 724]


@pytest.fixture(scope="module")
def run():
    return nmfa.load_run("induction")


@pytest.fixture(scope="module")
def history(run):
    return nmfa.follow(run, samples=3, steps=STEPS)


def _sample(run, step, seed=0, training_seed=0):
    return nmfa.load_network(run.checkpoint(step, training_seed)).sample(32, seed=seed)


def test_a_sample_has_the_same_neurons_at_every_step(run):
    first, last = _sample(run, 0, seed=4), _sample(run, 724, seed=4)
    for a, b in zip(first.layers, last.layers, strict=True):
        np.testing.assert_array_equal(a.neurons, b.neurons)
    assert any(
        (a.neurons != b.neurons).any() for a, b in zip(first.layers, _sample(run, 0, seed=5).layers, strict=True)
    )


def test_a_sample_keeps_the_sizes_of_the_paper(run):
    layers = {layer.name: layer for layer in _sample(run, 0).layers}
    assert {len(layer.neurons) for layer in layers.values() if layer.role != "mlp"} == {32}
    assert {len(layer.neurons) for layer in layers.values() if layer.role == "mlp"} == {64}
    for name in ("query", "key", "value"):
        np.testing.assert_array_equal(layers[f"block 1 {name}"].neurons, layers["block 1 attention"].neurons)


def test_a_sample_holds_the_weights_of_the_neurons_it_names(run):
    whole = nmfa.load_network(run.checkpoint(724))
    sample = whole.sample(8, seed=3)
    for block, part in zip(whole.weight_blocks, sample.weight_blocks, strict=True):
        targets, sources = (sample.layers[end].neurons for end in (part.target, part.source))
        np.testing.assert_array_equal(part.weights(), block.weights()[np.ix_(targets, sources)])


def test_a_sample_of_a_sample_keeps_the_original_neuron_numbers(run):
    sample = _sample(run, 724)
    again = sample.sample(4, seed=1)
    for layer, part in zip(sample.layers, again.layers, strict=True):
        assert set(part.neurons) <= set(layer.neurons)


def test_the_trajectory_is_made_of_analyze(run, history):
    rows = history.frame("all")
    for row in rows.itertuples():
        spectrum = nmfa.analyze(_sample(run, row.step, row.sample, row.training_seed))
        assert (row.alpha0, row.width, row.r2) == (spectrum.alpha0, spectrum.width, spectrum.r2)


def test_frame_has_a_row_per_step_and_sample(history):
    frame = history.frame()
    assert len(frame) == len(STEPS) * 3
    assert set(frame.groupby("step")["sample"].apply(tuple)) == {(0, 1, 2)}
    assert len(history.frame("all")) == len(STEPS) * 3 * 3  # three training seeds


def test_summary_averages_alpha0_and_width_before_the_degree_of_emergence(history):
    frame, summary = history.frame(), history.summary()
    start, end = (frame[frame["step"] == step] for step in (0, 724))
    expected = end["width"].mean() / start["width"].mean() * np.log(start["alpha0"].mean() / end["alpha0"].mean())
    last = summary.iloc[-1]
    assert last["emergence"] == pytest.approx(expected, rel=1e-12)
    assert last["emergence_sd"] == pytest.approx(end["emergence"].std(ddof=1), rel=1e-12)
    assert summary.iloc[0]["emergence"] == 0 and (frame.loc[frame["step"] == 0, "emergence"] == 0).all()


def test_every_training_seed_is_measured_against_its_own_start(history):
    rows = {(row.training_seed, row.step, row.sample): row for row in history.frame("all").itertuples()}
    for (seed, _, sample), row in rows.items():
        start = rows[seed, 0, sample]
        expected = row.width / start.width * np.log(start.alpha0 / row.alpha0)
        assert row.emergence == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert seed == 0 or start.alpha0 != rows[0, 0, sample].alpha0  # another start would give another E
    for seed in history.training_seeds:
        assert history.summary(seed)["emergence"][0] == 0


def test_the_summary_spreads_each_quantity_over_its_own_samples(history):
    frame, summary = history.frame(), history.summary().set_index("step")
    for step in STEPS:
        of_step = frame[frame["step"] == step]
        for name in ("alpha0", "width", "emergence"):
            values = of_step[name].tolist()
            mean = sum(values) / len(values)
            sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
            assert summary.loc[step, f"{name}_sd"] == pytest.approx(sd, rel=1e-9, abs=1e-15)
            assert name == "emergence" or summary.loc[step, name] == pytest.approx(mean, rel=1e-12)


def test_spread_over_training_seeds_is_kept_apart_from_spread_over_samples(history):
    last = history.summary().iloc[-1]
    every = [history.summary(seed).iloc[-1]["emergence"] for seed in history.training_seeds]
    assert history.training_seeds == (0, 1, 2) and last["training_seeds"] == 3
    assert last["emergence_over_seeds"] == pytest.approx(np.mean(every))
    assert last["emergence_over_seeds_sd"] == pytest.approx(np.std(every, ddof=1))
    assert last["emergence_over_seeds_sd"] != last["emergence_sd"]


def test_the_ability_stands_under_its_own_name(run, history):
    recorded = run.abilities(seed=0).set_index("step").loc[STEPS, "copy_accuracy"]
    assert history.summary()["copy_accuracy"].tolist() == recorded.tolist()


def test_the_network_that_learned_to_copy_emerges_further_than_its_twin(history):
    twin = nmfa.follow(nmfa.load_run("induction-control"), samples=3, steps=STEPS)
    for seed in history.training_seeds:
        assert history.summary(seed)["emergence"].iloc[-1] > twin.summary(seed)["emergence"].iloc[-1] > 0


def test_a_trajectory_survives_its_file(history, tmp_path):
    again = Trajectory.load(history.save(tmp_path / "history"))
    for seed in ("all", None):
        assert again.frame(seed).equals(history.frame(seed))
    assert again.summary().equals(history.summary())
    assert (again.method_key, again.source_hash, again.flags) == (
        history.method_key,
        history.source_hash,
        history.flags,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["history.npz"]


def test_a_spectrum_survives_its_file(run, tmp_path):
    spectrum = nmfa.analyze(_sample(run, 724))
    again = nmfa.spectrum.Spectrum.load(spectrum.save(tmp_path / "spectrum.npz"))
    np.testing.assert_array_equal(again.tau, spectrum.tau)
    np.testing.assert_array_equal(again.residuals, spectrum.residuals)
    assert (again.alpha0, again.flags, again.seed) == (spectrum.alpha0, spectrum.flags, spectrum.seed)
    with pytest.raises(nmfa.NeuroMFAError, match="holds a spectrum, not a trajectory"):
        Trajectory.load(tmp_path / "spectrum.npz")


@pytest.mark.parametrize("damage", ["empty", "text", "cut short", "a byte changed", "one array", "no header"])
def test_a_damaged_result_is_named_and_nobody_is_told_to_unpickle_it(run, tmp_path, damage):
    path = nmfa.analyze(_sample(run, 0)).save(tmp_path / "spectrum.npz")
    whole = path.read_bytes()
    if damage == "one array":
        with open(path, "wb") as file:
            np.save(file, np.ones(3))
    elif damage == "no header":
        np.savez(path, tau=np.ones(3))
    else:
        middle = len(whole) // 2
        changed = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "text": b"xx", "cut short": whole[:middle], "a byte changed": changed}[damage])
    with pytest.raises(nmfa.NeuroMFAError, match=r"spectrum\.npz is damaged or not a file of neuromfa_lite") as caught:
        nmfa.spectrum.Spectrum.load(path)
    assert "pickle" not in str(caught.value)


def test_results_cannot_be_changed(run):
    spectrum = nmfa.analyze(_sample(run, 724))
    with pytest.raises(ValueError, match="read-only"):
        spectrum.tau[0] = 1.0


@pytest.mark.parametrize("method", [nmfa.PAPER, nmfa.SCALE_FREE], ids=lambda method: method.name)
def test_radii_can_be_common_to_a_run(run, method):
    common = nmfa.follow(run, method.replace(radii_scope="run"), samples=2, steps=STEPS)
    assert len(common.radii) >= 2 and (np.diff(common.radii) > 0).all()
    fixed = method.replace(radii=common.radii, name=method.name)
    for row in common.frame().itertuples():
        spectrum = nmfa.analyze(_sample(run, row.step, row.sample), fixed)
        np.testing.assert_array_equal(spectrum.radii, common.radii)
        assert (row.alpha0, row.width) == (spectrum.alpha0, spectrum.width)
    own = nmfa.follow(run, method, samples=2, steps=STEPS)
    assert abs(own.summary()["emergence"].iloc[-1] - common.summary()["emergence"].iloc[-1]) > 0.05


def test_common_radii_are_those_that_every_network_covers(run):
    common = nmfa.follow(run, nmfa.PAPER.replace(radii_scope="run"), samples=2, steps=[0, 724]).radii
    grids = [
        nmfa.analyze(_sample(run, step, sample, seed)).radii
        for seed in run.seeds
        for step in (0, 724)
        for sample in (0, 1)
    ]
    assert common[0] == max(grid[0] for grid in grids) and common[-1] == min(grid[-1] for grid in grids)


def test_the_whole_network_is_measured_once_when_no_size_is_given(run):
    whole = nmfa.follow(run, neurons_per_layer=None, steps=[0, 724])
    assert len(whole.frame()) == 2
    assert whole.frame()["neurons_used"].iloc[-1] == nmfa.analyze(nmfa.load_network(run.checkpoint(724))).neurons_used
    assert whole.summary()["emergence_sd"].isna().all()


def test_a_part_can_be_any_function(run):
    sample = _sample(run, 724)
    mine = nmfa.PAPER.replace(distance=lambda weights: 1 / np.abs(weights))
    assert mine.key != nmfa.PAPER.key
    np.testing.assert_allclose(nmfa.analyze(sample, mine).tau, nmfa.analyze(sample).tau, rtol=0, atol=1e-12)
    half = nmfa.PAPER.replace(mass=lambda counts: counts / (2 * counts[:, -1:]))
    np.testing.assert_allclose(nmfa.analyze(sample, half).tau, nmfa.analyze(sample).tau, rtol=0, atol=1e-11)
    score = nmfa.PAPER.replace(score=lambda alpha0, width, alpha0_start, width_start: alpha0_start - alpha0)
    table = nmfa.follow(run, score, samples=2, steps=[0, 724]).summary()
    assert table["emergence"].iloc[-1] == pytest.approx(table["alpha0"].iloc[0] - table["alpha0"].iloc[-1])


def test_split_by_role_uses_the_radii_of_the_whole(run):
    spectrum = nmfa.analyze(_sample(run, 724))
    parts = spectrum.by("role")
    assert set(parts) == {"hidden", "attention", "middle", "mlp"}
    assert sum(part.neurons_used for part in parts.values()) == spectrum.neurons_used
    means = [part.alpha0 * part.neurons_used for part in parts.values()]
    assert sum(means) / spectrum.neurons_used == pytest.approx(spectrum.alpha0, rel=1e-12)
    with pytest.raises(nmfa.NeuroMFAError, match="use one of 'layer', 'role'"):
        spectrum.by("colour")


# ---- what goes wrong, and what is said ----


class _Without:
    """A run with some of its steps only."""

    def __init__(self, run, steps):
        self.name, self.ability, self.seeds = run.name, run.ability, (0,)
        self._run, self._steps = run, steps

    def steps(self, seed=0):
        return self._steps

    def checkpoint(self, step, seed=0):
        return self._run.checkpoint(step, seed)


def test_a_run_without_step_0_is_refused_before_any_work(run):
    with pytest.raises(nmfa.NeuroMFAError, match="step 0 is missing"):
        nmfa.follow(_Without(run, (128, 724)))


def test_a_step_that_does_not_exist_is_named(run):
    with pytest.raises(nmfa.NeuroMFAError, match="no step 5"):
        nmfa.follow(run, steps=[0, 5])


def test_two_checkpoints_with_the_same_weights_are_refused(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    folder = copy / "seed-0"
    shutil.copy(folder / "step-000724" / "model.safetensors", folder / "step-000000" / "model.safetensors")
    damaged = Run(run.name, copy, run.manifest)
    with pytest.raises(nmfa.NeuroMFAError, match="same weights as step 0"):
        nmfa.follow(damaged, samples=1, steps=[0, 724])


def test_no_samples_and_too_large_samples_are_refused(run):
    with pytest.raises(nmfa.NeuroMFAError, match="samples=0"):
        nmfa.follow(run, samples=0)
    with pytest.raises(nmfa.NeuroMFAError, match=r"block 0 input.*use at most 64"):
        nmfa.follow(run, neurons_per_layer=65)


@pytest.mark.parametrize(
    "choice, message",
    [
        ({"q": []}, "q is empty"),
        ({"q": [0, float("nan")]}, "finite"),
        ({"q": [1, 0]}, "increasing"),
        ({"distance": "cosine"}, "unknown"),
        ({"derivative": "backward"}, "exact"),
        ({"derivative": "forward", "q": [1.0]}, "at least two q"),
        ({"window": (5, 5)}, "low < high"),
        ({"radii": [3, 2]}, "increasing"),
        ({"radii": [0, 2]}, "positive"),
        ({"minimum_connections": 0}, "at least 1"),
        ({"radii_scope": "all"}, "network"),
        ({"colour": 1}, "a Method has no colour"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_by_name(choice, message):
    with pytest.raises(nmfa.NeuroMFAError, match=message):
        nmfa.PAPER.replace(**choice)


def test_the_key_of_a_method_follows_every_choice_but_its_name():
    assert nmfa.PAPER.replace(name="other").key == nmfa.PAPER.key
    keys = {
        nmfa.PAPER.replace(**change).key for change in ({}, {"q": (0.0, 1.0)}, {"rounding": False}, {"window": None})
    }
    assert len(keys) == 4
    first, second = (nmfa.PAPER.replace(distance=function) for function in (lambda w: 1 / abs(w), lambda w: 2 / abs(w)))
    assert first.key != second.key


@pytest.mark.parametrize("window", [(0, 0.4), (1, 1e9), (1, float("inf"))])
def test_any_window_gives_a_spectrum_or_says_why_not(window):
    weights = np.random.default_rng(1).uniform(0.01, 4, 200)
    network = nmfa.NeuronNetwork.from_edges(np.repeat(range(4), 50), np.arange(4, 204), weights)
    method = nmfa.PAPER.replace(window=window)
    if window[1] < 0.5:
        with pytest.raises(nmfa.NeuroMFAError, match="radii of method"):
            nmfa.analyze(nmfa.NeuronNetwork.from_edges([0] * 20, range(1, 21), [4.0] * 20), method)
    else:
        assert nmfa.analyze(network, method).radii[-1] == np.rint(1 / weights[weights < 1].min())


@pytest.mark.parametrize("distance", [lambda w: w + np.inf, lambda w: np.zeros_like(w)], ids=["infinite", "constant"])
def test_a_distance_that_tells_nothing_is_refused_by_name(distance):
    network = nmfa.NeuronNetwork.from_edges([0] * 20, range(1, 21), np.linspace(0.1, 0.9, 20))
    with pytest.raises(nmfa.NeuroMFAError, match="'mine'"):
        nmfa.analyze(network, nmfa.SCALE_FREE.replace(distance=distance, name="mine"))


def test_what_is_no_network_and_no_run_is_told_how_to_become_one(run):
    with pytest.raises(nmfa.NeuroMFAError, match="load_network"):
        nmfa.analyze(run.checkpoint(0))
    with pytest.raises(nmfa.NeuroMFAError, match="load_run"):
        nmfa.follow("induction")


# ---- found by a reviewer ----


def _copy_with(run, tmp_path, change, step=724):
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    path = copy / "seed-0" / f"step-{step:06d}" / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    return Run(run.name, copy, run.manifest)


def test_a_bad_weight_outside_the_samples_is_found(run, tmp_path):
    drawn = {layer.name: layer.neurons for layer in _sample(run, 724).layers}["block 1 mlp"]
    left_out = next(number for number in range(256) if number not in drawn)

    def spoil(weights):
        weights["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"][63, left_out] = np.nan

    damaged = _copy_with(run, tmp_path, spoil)
    assert nmfa.analyze(_sample(damaged, 724)).neurons_used == 320  # a sample alone cannot see it
    with pytest.raises(nmfa.NeuroMFAError, match=r"layers\.1\.mlp\.dense_4h_to_h.*NaN"):
        nmfa.follow(damaged, samples=1, steps=[0, 724])


def test_radii_that_no_connection_reaches_are_refused(run):
    with pytest.raises(nmfa.NeuroMFAError, match="no mass grows"):
        nmfa.analyze(_sample(run, 724), nmfa.PAPER.replace(radii=(0.1, 0.2, 0.5)))
    few = nmfa.analyze(_sample(run, 0), nmfa.PAPER.replace(radii=(5.0, 13.0, 14.0)))
    assert any("no connection within the largest radius" in flag for flag in few.flags)


def test_a_dot_in_a_name_stays_in_it(run, tmp_path):
    spectrum = nmfa.analyze(_sample(run, 724))
    assert spectrum.save(tmp_path / "k0.1").name == "k0.1.npz"
    assert spectrum.save(tmp_path / "k0.2.npz").name == "k0.2.npz"
    with pytest.raises(nmfa.NeuroMFAError, match="no such folder"):
        spectrum.save(tmp_path / "nowhere" / "spectrum")


def test_numbers_of_numpy_and_lists_of_any_kind_are_taken(run, tmp_path):
    history = nmfa.follow(run, samples=np.int64(1), neurons_per_layer=np.int64(16), steps=np.array([0, 724]))
    assert Trajectory.load(history.save(tmp_path / "history")).neurons_per_layer == 16
    assert (
        nmfa.follow(run, samples=1, neurons_per_layer=16, steps=(step for step in (724, 0)))
        .frame()
        .equals(history.frame())
    )


@pytest.mark.parametrize(
    "arguments", [{"neurons_per_layer": 0}, {"samples": 2.5}, {"samples": "2"}, {"steps": ["0"]}, {"method": "paper"}]
)
def test_arguments_of_another_kind_are_refused_by_name(run, arguments):
    with pytest.raises(nmfa.NeuroMFAError, match=next(iter(arguments))):
        nmfa.follow(run, **arguments)


@pytest.mark.parametrize("choice", [{"window": 5}, {"distance": [1]}, {"minimum_connections": "a"}, {"derivative": 1}])
def test_choices_of_another_kind_are_refused_by_name(choice):
    with pytest.raises(nmfa.NeuroMFAError, match=next(iter(choice))):
        nmfa.PAPER.replace(**choice)


def test_the_flags_of_a_checkpoint_are_those_of_its_worst_sample(run):
    history = nmfa.follow(run, samples=4, steps=[0, 724])
    worst = min((nmfa.analyze(_sample(run, 724, sample)) for sample in range(4)), key=lambda spectrum: spectrum.r2)
    assert history.flags["0/724"] == f"4 of 4 samples: {'; '.join(worst.flags)}"
    assert f"worst r2 {history.r2.min():.3f}" in history.quality() and history.quality() in repr(history)


def test_later_checkpoints_with_equal_weights_are_flagged(run, tmp_path):
    twin = load_file(run.checkpoint(512).folder / "model.safetensors")
    copied = _copy_with(run, tmp_path, lambda weights: weights.update(twin))
    history = nmfa.follow(copied, samples=1, steps=[0, 512, 724])
    assert "same weights as step 512" in history.flags["0/724"]
