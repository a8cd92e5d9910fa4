"""The laboratory: the tasks, the bundled runs as shipped, and training them again."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.laboratory import (
    RECIPES,
    find_recipe,
    list_runs,
    load_checkpoint,
    load_run,
    manifests,
    tasks,
    training,
    verify_run,
)
from neuromfa_lite.laboratory.runs import BUNDLED

NAMES = ("induction", "induction-control")
SEED_0_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 152, 181, 215, 256, 304, 362, 512, 724)
OTHER_STEPS = (0, 128, 256, 724)
ENDS = [(name, seed) for name in NAMES for seed in (0, 1, 2)]
INDUCTION = RECIPES["induction"]
MEGABYTE = 10**6


@pytest.fixture
def copied_run(tmp_path):
    """A run folder of one's own: the bundled induction run, copied."""
    return shutil.copytree(BUNDLED / "induction", tmp_path / "mine")


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights_of(checkpoint):
    return load_file(checkpoint.folder / "model.safetensors")


def train_shortly(folder, steps=1, name="induction", **options):
    return training.train(name, folder=folder, steps=steps, progress=False, **options)


# ---- the task ----------------------------------------------------------------------------------------------


@pytest.mark.small
def test_repeated_sequences_repeat_with_their_period_and_use_the_whole_range():
    tokens, periods = tasks.repeated_sequences(np.random.default_rng(1), 2000, INDUCTION)
    assert tokens.shape == (2000, 48) and tokens.dtype == np.int64
    assert set(periods) == set(range(12, 25))
    assert set(tokens.ravel()) == set(range(1, 64))
    for row, period in zip(tokens, periods, strict=True):
        assert (row[period:] == row[:-period]).all()


@pytest.mark.small
def test_control_batches_have_no_repetition():
    generator = np.random.default_rng(tasks.seed_sequence("train", 0))
    batches = np.concatenate([tasks.training_batch(generator, RECIPES["induction-control"]) for _ in range(50)])
    assert set(batches.ravel()) == set(range(1, 64))
    for lag in range(1, 36):
        same = batches[:, lag:] == batches[:, :-lag]
        chance, positions = 1 / 63, same.size
        assert abs(same.mean() - chance) < 5 * np.sqrt(chance / positions)
        assert not same.all(axis=1).any()


@pytest.mark.small
def test_held_out_sequences_are_common_to_all_runs_and_never_trained_on():
    tokens, periods = tasks.held_out_sequences(INDUCTION)
    control_tokens, control_periods = tasks.held_out_sequences(RECIPES["induction-control"])
    assert tokens.shape == (256, 48)
    assert (tokens == control_tokens).all() and (periods == control_periods).all()
    held_out = {row[:12].tobytes() for row in tokens}
    assert len(held_out) == 256
    for name, seed in ENDS:
        generator = np.random.default_rng(tasks.seed_sequence("train", seed))
        for _ in range(INDUCTION.steps + 1):
            batch = tasks.training_batch(generator, RECIPES[name])
            assert held_out.isdisjoint(row[:12].tobytes() for row in batch)


@pytest.mark.small
def test_streams_of_random_numbers_differ():
    roots = [tasks.seed_sequence("held-out")]
    roots += [tasks.seed_sequence(stream, seed) for stream in ("init", "train") for seed in range(3)]
    assert len({tuple(root.generate_state(4)) for root in roots}) == len(roots)


@pytest.mark.small
@pytest.mark.parametrize(
    ("stream", "seed", "message"),
    [("test", 0, "init, train"), ("train", -1, "-1"), ("train", 0.5, "0.5"), ("held-out", 1, "leave seed at 0")],
)
def test_impossible_streams_and_seeds_are_refused(stream, seed, message):
    with pytest.raises(NeuroMFAError, match=message):
        tasks.seed_sequence(stream, seed)


# ---- the ability -------------------------------------------------------------------------------------------


@pytest.mark.small
def test_copy_accuracy_of_a_perfect_predictor_is_one():
    tokens, periods = tasks.held_out_sequences(INDUCTION)
    following = np.roll(tokens, -1, axis=1)
    assert tasks.copy_accuracy(following, tokens, periods) == 1.0
    copied = following.copy()
    for row, sequence, period in zip(copied, tokens, periods, strict=True):
        row[:period] = 0  # what a copying model cannot know must not count
        row[period:] = [sequence[place + 1 - period] for place in range(period, 48)]
    assert tasks.copy_accuracy(copied, tokens, periods) == 1.0


@pytest.mark.small
def test_copy_accuracy_of_a_constant_predictor_is_its_count():
    tokens, periods = tasks.held_out_sequences(INDUCTION)
    right = positions = 0
    for row, period in zip(tokens.tolist(), periods.tolist(), strict=True):
        asked = row[period + 1 :]
        positions += len(asked)
        right += asked.count(7)
    assert right > 0
    assert tasks.copy_accuracy(np.full_like(tokens, 7), tokens, periods) == right / positions


@pytest.mark.small
def test_copy_accuracy_refuses_what_it_cannot_count():
    tokens, periods = np.ones((2, 4), int), np.array([2, 2])
    with pytest.raises(NeuroMFAError, match="do not belong together"):
        tasks.copy_accuracy(np.ones((2, 3), int), tokens, periods)
    with pytest.raises(NeuroMFAError, match="period"):
        tasks.copy_accuracy(tokens, tokens, np.array([3, 3]))


def test_measured_ability_is_the_argmax_of_the_logits():
    import torch

    def copies(tokens):
        following = torch.nn.functional.one_hot(tokens.roll(-1, dims=1), 64)
        return SimpleNamespace(logits=following.float())

    assert tasks.measure_abilities(copies, INDUCTION) == {"copy_accuracy": 1.0}


# ---- the bundled runs --------------------------------------------------------------------------------------


@pytest.mark.small
def test_the_runs_hold_the_checkpoints_of_the_recipe():
    assert list(list_runs()["run"]) == list(NAMES)
    for name in NAMES:
        run = load_run(name)
        assert run.seeds == (0, 1, 2)
        assert run.steps() == SEED_0_STEPS
        assert run.steps(seed=1) == run.steps(seed=2) == OTHER_STEPS
        assert run.manifest["recipe"] == find_recipe(name).as_dict()
        assert run.manifest["recipes_tried"] == [{"changed": {}, "outcome": "kept"}]


@pytest.mark.small
@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_the_hash_of_its_manifest_and_no_other_file_is_there(name):
    run = load_run(name)
    table = verify_run(run)
    assert len(table) == 2 * 25 and table["ok"].all()
    found = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert found == {*table["file"], "manifest.json"}


@pytest.mark.small
def test_all_runs_together_are_small_and_hold_no_pickle():
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12 * MEGABYTE
    assert {path.name for path in files} == {"manifest.json", "config.json", "model.safetensors"}
    for path in files:
        if path.name == "model.safetensors":
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            assert {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} == {"F16"}
        else:
            json.loads(path.read_text())


@pytest.mark.small
def test_run_and_control_start_from_the_same_weights_and_end_apart():
    induction, control = load_run("induction"), load_run("induction-control")
    assert induction.control == "induction-control" and induction.control_of is None
    assert control.control_of == "induction" and control.control is None
    for seed in (0, 1, 2):
        for step, same in ((0, True), (724, False)):
            one, other = (weights_of(run.checkpoint(step, seed)) for run in (induction, control))
            assert {bool((one[key] == other[key]).all()) for key in one} == {same}


@pytest.mark.small
def test_the_ability_appears_in_the_run_and_not_in_its_control():
    frame = load_run("induction").abilities()
    assert list(frame.columns) == ["seed", "step", "copy_accuracy"]
    assert len(frame) == 25
    ends = frame[frame["step"] == 724]["copy_accuracy"]
    assert (ends > 0.98).all()
    assert (frame[frame["step"] == 0]["copy_accuracy"] < 0.03).all()
    control = load_run("induction-control").abilities()
    assert (control["copy_accuracy"] < 0.03).all()
    assert len(load_run("induction").abilities(seed=1)) == 4


@pytest.mark.parametrize(("name", "seed"), ENDS)
def test_the_ordinary_loader_gives_the_ability_of_the_manifest(name, seed):
    import torch
    from transformers import AutoModelForCausalLM

    checkpoint = load_run(name).checkpoint(724, seed)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    # all of a head is rotated, the two branches are parallel and the embeddings are two matrices
    cosines, _ = model.gpt_neox.rotary_emb(torch.zeros(1, 48, 64), torch.arange(48)[None])
    assert cosines.shape[-1] == 64 // 4
    assert all(layer.use_parallel_residual for layer in model.gpt_neox.layers)
    assert model.lm_head.weight is not model.gpt_neox.embed_in.weight
    # a processor with other rounding may decide a few of about 7300 near ties otherwise
    measured = tasks.measure_abilities(model, find_recipe(name))
    assert measured["copy_accuracy"] == pytest.approx(checkpoint.abilities["copy_accuracy"], abs=1e-3)


def test_the_ordinary_loader_reads_half_precision_and_every_weight():
    import torch
    from transformers import AutoModelForCausalLM

    folder = load_run("induction").checkpoint(724).folder
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert model.dtype == torch.float16
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_runs_are_read_without_torch_transformers_and_pandas():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'pandas', 'safetensors']))\n"
        "from neuromfa_lite.laboratory import load_run\n"
        "print(load_run('induction').checkpoint(724).abilities['copy_accuracy'] > .9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


# ---- asking for what is not there --------------------------------------------------------------------------


@pytest.mark.small
def test_a_checkpoint_stands_for_its_folder_and_its_label():
    checkpoint = load_run("induction").checkpoint(np.int64(128), seed=np.int64(2))
    assert os.fspath(checkpoint).endswith(os.path.join("induction", "seed-2", "step-000128"))
    assert str(checkpoint) == "induction@128:2"
    assert load_checkpoint("induction@128:2").folder == checkpoint.folder
    assert str(load_checkpoint("induction@724")) == "induction@724"


@pytest.mark.small
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: load_run("inductoin"), "induction, induction-control"),
        (lambda: load_run("induction").checkpoint(100), "no step 100 .* 0, 1, 2, 4, .* 724"),
        (lambda: load_run("induction").checkpoint(64, seed=1), "no step 64 for seed 1; its steps are 0, 128, 256, 724"),
        (lambda: load_run("induction").checkpoint(0, seed=3), "no seed 3; its seeds are 0, 1, 2"),
        (lambda: load_run("induction").steps(seed=9), "no seed 9"),
        (lambda: load_run("induction").abilities(seed=9), "no seed 9"),
        (lambda: load_checkpoint("induction"), "RUN@STEP"),
        (lambda: load_checkpoint("induction@last"), "RUN@STEP"),
        (lambda: load_checkpoint("nowhere@0"), "'nowhere' is neither"),
        (lambda: find_recipe("inductoin"), "induction, induction-control"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(ask, message):
    with pytest.raises(NeuroMFAError, match=message):
        ask()


def test_a_run_folder_of_ones_own_is_a_run(copied_run, monkeypatch):
    run = load_run(copied_run)
    assert run.name == "induction" and run.checkpoint(724).folder.is_relative_to(copied_run)
    assert load_run(str(copied_run)).steps() == SEED_0_STEPS
    assert load_checkpoint(f"{copied_run}@724:1").seed == 1
    html = run._repr_html_()
    assert "copy_accuracy" in html and len(html) < 1000
    copied_run.rename(copied_run.parent / "induction")
    monkeypatch.chdir(copied_run.parent)
    assert load_run("./induction").folder != load_run("induction").folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"schema": 1,'), "is not JSON"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "is not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "no schema number"),
        (lambda folder: (folder / "manifest.json").write_text('{"schema": 1}'), "lacks run, title, ability"),
        (lambda folder: edit_manifest(folder, schema=2), "schema 2.*newer"),
        (lambda folder: edit_manifest(folder, checkpoints=[]), "lacks checkpoints"),
        (lambda folder: edit_manifest(folder, checkpoints=[3]), r"lacks checkpoints\[0\]\.seed"),
        (lambda folder: edit_manifest(folder, ability=None), "lacks ability"),
    ],
)
def test_a_damaged_manifest_is_named(copied_run, damage, message):
    damage(copied_run)
    with pytest.raises(SourceError, match=message) as caught:
        load_run(copied_run)
    assert str(copied_run / "manifest.json") in str(caught.value)


def test_verify_finds_a_changed_and_a_missing_file(copied_run):
    weights = load_run(copied_run).checkpoint(8).folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (copied_run / "seed-1" / "step-000128" / "config.json").unlink()
    wrong = verify_run(copied_run).query("not ok")
    assert list(wrong["file"]) == ["seed-0/step-000008/model.safetensors", "seed-1/step-000128/config.json"]
    assert wrong["found"].isna().tolist() == [False, True]


def test_a_checkpoint_whose_folder_is_gone_is_named(copied_run):
    shutil.rmtree(copied_run / "seed-0" / "step-000064")
    with pytest.raises(SourceError, match="step-000064 is missing"):
        load_run(copied_run).checkpoint(64)


# ---- training ----------------------------------------------------------------------------------------------


def test_the_model_and_the_optimiser_are_those_of_the_recipe():
    import torch

    state = torch.random.get_rng_state()
    model = training.build_model(INDUCTION, seed=5)
    assert (torch.random.get_rng_state() == state).all()
    matrices = {name: p for name, p in model.named_parameters() if p.ndim == 2}
    assert sum(p.numel() for p in model.parameters()) == 108_288
    for name, matrix in matrices.items():
        assert float(matrix.detach().std()) == pytest.approx(0.02, rel=0.06), name
    again, other = training.build_model(INDUCTION, seed=5), training.build_model(INDUCTION, seed=6)
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not (model.lm_head.weight == other.lm_head.weight).any()
    decayed, free = training.build_optimizer(model, INDUCTION).param_groups
    assert {id(p) for p in decayed["params"]} == {id(p) for p in matrices.values()}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    assert decayed["betas"] == (0.9, 0.98)


@pytest.mark.small
def test_learning_rate_rises_over_fifty_steps_and_stays():
    rates = [INDUCTION.learning_rate_at(step) for step in range(724)]
    np.testing.assert_allclose(rates[:50], 3e-3 * np.arange(1, 51) / 50)
    assert set(rates[49:]) == {3e-3}


def test_a_trained_folder_is_a_run_and_gains_seeds(tmp_path):
    folder = tmp_path / "deep" / "mine"
    train_shortly(folder)
    manifest = train_shortly(folder, seed=3)
    run = load_run(folder)
    assert run.manifest == manifest
    assert run.seeds == (0, 3) and run.steps(0) == (0, 1) and run.steps(3) == (0,)
    assert verify_run(run)["ok"].all()
    assert manifest["trainings"]["0"]["seconds"] > 0
    assert manifest["checkpoints"][0]["train_loss"] == pytest.approx(np.log(64), abs=0.05)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0", "seed-3"}
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_training_twice_gives_the_same_files(tmp_path):
    first, second = (train_shortly(tmp_path / name, steps=2)["checkpoints"] for name in "ab")
    assert first == second


def test_nothing_is_overwritten_unless_asked(tmp_path):
    folder = tmp_path / "mine"
    train_shortly(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(NeuroMFAError, match="already holds seed 0"):
        train_shortly(folder)
    with pytest.raises(NeuroMFAError, match="another recipe"):
        train_shortly(folder, name="induction-control", seed=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    train_shortly(folder, steps=2, overwrite=True)
    assert load_run(folder).steps() == (0, 1, 2)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NeuroMFAError, match="not empty and not a run"):
        train_shortly(tmp_path, overwrite=True)
    with pytest.raises(NeuroMFAError, match="is a file"):
        train_shortly(tmp_path / "thesis.txt", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "grokking"}, "induction, induction-control"),
        ({"seed": -1}, "seed"),
        ({"steps": -1}, "from 0 to 724"),
        ({"steps": 725}, "from 0 to 724"),
        ({"steps": 1.5}, "from 0 to 724"),
    ],
)
def test_impossible_trainings_are_refused_before_any_work(tmp_path, arguments, message):
    with pytest.raises(NeuroMFAError, match=message):
        training.train(**{"name": "induction", "folder": tmp_path / "mine", "progress": False} | arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_training_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, error):
    import torch

    def fail(*arguments):
        raise error("stopped")

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(training, "_update", fail)
    try:
        with pytest.raises(error, match="stopped"):
            train_shortly(tmp_path / "new" / "mine")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not list(tmp_path.iterdir())


def test_a_failure_while_storing_keeps_the_run_as_it_was(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    train_shortly(folder)
    monkeypatch.setattr(manifests.json, "dumps", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_shortly(folder, steps=2, overwrite=True)
    with pytest.raises(ZeroDivisionError):
        train_shortly(folder, seed=1)
    assert load_run(folder).steps() == (0, 1) and verify_run(folder)["ok"].all()
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_training_shows_its_loss(tmp_path, capsys):
    training.train("induction", folder=tmp_path / "mine", steps=1)
    shown = capsys.readouterr().err
    assert "induction, seed 0" in shown and "loss=4.1" in shown


@pytest.mark.retraining
@pytest.mark.parametrize("name", NAMES)
def test_the_first_steps_trained_again_agree_with_the_bundled_ones(tmp_path, name):
    train_shortly(tmp_path / "again", steps=16, name=name)
    again, shipped = load_run(tmp_path / "again"), load_run(name)
    assert again.steps() == (0, 1, 2, 4, 8, 16)
    for step in again.steps():
        found, expected = (weights_of(run.checkpoint(step)) for run in (again, shipped))
        assert found.keys() == expected.keys()
        for key in (key for key in expected if expected[key].ndim == 2):
            assert share_within_units(found[key], expected[key], units=2) >= 0.999, (step, key)


def share_within_units(found, expected, units):
    """Share of fp16 weights that differ by at most ``units`` times the gap between neighbouring fp16 numbers."""
    gap = np.spacing(np.maximum(np.abs(found), np.abs(expected))).astype(np.float64)
    return float((np.abs(found.astype(np.float64) - expected.astype(np.float64)) <= units * gap).mean())
