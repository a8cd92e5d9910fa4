"""Training a run again: what is stored, what is refused, and going on after an interruption."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.laboratory import RECIPES, load_run, manifests, states, trainer, training, verify_run
from neuromfa_lite.laboratory.model import build_model, build_optimizer
from neuromfa_lite.laboratory.tasks import code, find_task, python_text

pytestmark = pytest.mark.torch
INDUCTION = RECIPES["induction"]


def weights_of(checkpoint):
    return load_file(checkpoint.folder / "model.safetensors")


def train_shortly(folder, steps=1, name="induction", **options):
    return training.train(name, folder=folder, steps=steps, progress=False, **options)


# ---- training ----------------------------------------------------------------------------------------------


def test_the_model_and_the_optimiser_are_those_of_the_recipe():
    import torch

    state = torch.random.get_rng_state()
    model = build_model(INDUCTION, seed=5)
    assert (torch.random.get_rng_state() == state).all()
    matrices = {name: p for name, p in model.named_parameters() if p.ndim == 2}
    assert sum(p.numel() for p in model.parameters()) == 108_288
    for name, matrix in matrices.items():
        assert float(matrix.detach().std()) == pytest.approx(0.02, rel=0.06), name
    again, other = build_model(INDUCTION, seed=5), build_model(INDUCTION, seed=6)
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not (model.lm_head.weight == other.lm_head.weight).any()
    decayed, free = build_optimizer(model, INDUCTION).param_groups
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
        ({"name": "code-lm", "steps": 1449}, "from 0 to 1448"),
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
def test_a_training_that_fails_before_its_first_step_leaves_nothing_behind(tmp_path, monkeypatch, error):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    stop_at(monkeypatch, 0, error)
    try:
        with pytest.raises(error, match="stopped"):
            train_shortly(tmp_path / "new" / "mine")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not list(tmp_path.iterdir())


def test_a_failure_while_storing_keeps_the_run_as_it_was_and_is_made_good(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    train_shortly(folder)
    with monkeypatch.context() as broken:
        broken.setattr(manifests, "write_manifest", lambda *a, **k: 1 / 0)
        for seed in (0, 1):
            with pytest.raises(ZeroDivisionError):
                train_shortly(folder, steps=2, seed=seed, overwrite=True)
        assert load_run(folder).steps() == (0, 1) and verify_run(folder)["ok"].all()
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0"}
    train_shortly(folder, steps=2, overwrite=True)
    assert load_run(folder).steps() == (0, 1, 2) and verify_run(folder)["ok"].all()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_training_shows_its_loss(tmp_path, capsys):
    training.train("induction", folder=tmp_path / "mine", steps=1)
    shown = capsys.readouterr().err
    assert "induction, seed 0" in shown and "loss=4.1" in shown and "copy_accuracy=0.0" in shown


# ---- going on after an interruption ------------------------------------------------------------------------


def stop_at(monkeypatch, step, error=KeyboardInterrupt):
    """Make the update from this step fail; a state is kept at every step."""
    update = trainer._update
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_STATES", 0.0)

    def failing(loss, optimizer, rate):
        if optimizer.state_dict()["state"].get(0, {"step": 0})["step"] >= step:
            raise error("stopped")
        update(loss, optimizer, rate)

    monkeypatch.setattr(trainer, "_update", failing)


def state_in(place):
    """(tensors, facts) of the one unfinished training in a folder."""
    (path,) = place.glob(".*-unfinished/state.safetensors")
    tensors, facts = states.load_state(path.parent)
    return tensors, facts


def stopped(place, monkeypatch, *steps, **options):
    """Train in a folder, stopped at these steps one after the other; the last state."""
    for step in steps:
        with monkeypatch.context() as patched:
            stop_at(patched, step)
            with pytest.raises(KeyboardInterrupt):
                train_shortly(place / "mine", **options)
    return state_in(place)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("induction", 8),
        pytest.param("modular-addition", 64, marks=pytest.mark.retraining),
        pytest.param("code-lm-control", 32, marks=pytest.mark.retraining),
    ],
)
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, monkeypatch, name, last):
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir(), twice.mkdir()
    options = {"steps": last, "name": name, "seed": 0}
    at = last - 3
    whole, facts = stopped(once, monkeypatch, at, **options)
    parts, facts_of_parts = stopped(twice, monkeypatch, 2, 3, at, **options)
    assert facts["step"] == facts_of_parts["step"] == at
    assert whole.keys() == parts.keys() and any(name.startswith("optimizer") for name in whole)
    assert all(bool((whole[name] == parts[name]).all()) for name in whole)
    for name_of_fact in ("key", "batches", "entries", "curve"):
        assert facts[name_of_fact] == facts_of_parts[name_of_fact]
    finished = train_shortly(twice / "mine", **options)
    never_stopped = train_shortly(tmp_path / "mine", **options)
    assert finished["checkpoints"] == never_stopped["checkpoints"]
    assert finished["trainings"]["0"]["interruptions"] == 3
    assert finished["trainings"]["0"].get("curve") == never_stopped["trainings"]["0"].get("curve")
    assert verify_run(twice / "mine")["ok"].all()
    assert [path.name for path in twice.iterdir()] == ["mine"]


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path):
    code = (
        "import os\nfrom neuromfa_lite.laboratory import trainer, training\nupdate = trainer._update\n"
        "def dying(loss, optimizer, rate):\n"
        "    if optimizer.state_dict()['state'].get(0, {'step': 0})['step'] == 3: os._exit(9)\n"
        "    update(loss, optimizer, rate)\n"
        "trainer._update = dying\n"
        f"training.train('induction', folder={str(tmp_path / 'mine')!r}, steps=4, progress=False)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert state_in(tmp_path)[1]["step"] == 3
    again = train_shortly(tmp_path / "mine", steps=4)
    assert again["checkpoints"] == train_shortly(tmp_path / "other", steps=4)["checkpoints"]


def test_a_state_is_data_only_and_never_half_written(tmp_path, monkeypatch):
    stopped(tmp_path, monkeypatch, 2, steps=4)
    (folder,) = tmp_path.glob(".*-unfinished")
    assert {path.name for path in folder.iterdir()} == {"run", "state.safetensors"}
    with safe_open(folder / "state.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["facts"])["step"] == 2
    before = (folder / "state.safetensors").read_bytes()
    monkeypatch.setattr(states.os, "replace", lambda *a: 1 / 0)
    model = build_model(INDUCTION)
    with pytest.raises(ZeroDivisionError):
        states.save_state(folder, model, build_optimizer(model, INDUCTION), {})
    assert (folder / "state.safetensors").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"run", "state.safetensors"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder, patch: (folder / "state.safetensors").write_bytes(b"{}"), "is damaged"),
        (lambda folder, patch: patch.setattr(training, "versions", lambda: {"torch": "9"}), "another versions"),
        (lambda folder, patch: (folder / "run/seed-0/step-000001").rename(folder / "gone"), r"lacks the check.*\[1\]"),
    ],
)
def test_a_state_that_does_not_fit_is_named_with_the_way_out(tmp_path, monkeypatch, spoil, message):
    stopped(tmp_path, monkeypatch, 3, steps=4)
    (folder,) = tmp_path.glob(".*-unfinished")
    spoil(folder, monkeypatch)
    with pytest.raises(NeuroMFAError, match=f"{message}.*delete .*anew|{message}.*delete .*start") as caught:
        train_shortly(tmp_path / "mine", steps=4)
    assert str(folder) in str(caught.value)


def test_a_training_past_the_last_step_asked_for_is_not_cut_short(tmp_path, monkeypatch):
    stopped(tmp_path, monkeypatch, 3, steps=4)
    with pytest.raises(NeuroMFAError, match="at step 3, past 2"):
        train_shortly(tmp_path / "mine", steps=2)


def test_seeds_in_the_making_do_not_meet(tmp_path, monkeypatch):
    stopped(tmp_path, monkeypatch, 3, steps=4)
    train_shortly(tmp_path / "mine", seed=1)
    assert state_in(tmp_path)[1]["step"] == 3
    train_shortly(tmp_path / "mine", steps=4)
    assert load_run(tmp_path / "mine").seeds == (0, 1)


def test_two_trainings_of_one_seed_do_not_write_over_each_other(tmp_path):
    with manifests.workspace(tmp_path / "mine", 0, states.FILE_NAME) as hidden:
        with pytest.raises(NeuroMFAError, match="another process is training"):
            train_shortly(tmp_path / "mine")
        assert hidden.is_dir()
    train_shortly(tmp_path / "mine")


def test_a_seed_trained_on_another_text_is_refused(tmp_path, monkeypatch):
    train_shortly(tmp_path / "mine", steps=0, name="code-lm")
    tokens, about = python_text.training_tokens()
    monkeypatch.setattr(code, "training_tokens", lambda: (tokens, about | {"python": "3.99"}))
    with pytest.raises(NeuroMFAError, match="another text"):
        train_shortly(tmp_path / "mine", steps=0, name="code-lm", seed=1)


# ---- the bundled runs once more ----------------------------------------------------------------------------

FIRST_STEPS = {"induction": 16, "code-lm": 32, "modular-addition": 64}


@pytest.mark.retraining
@pytest.mark.parametrize("name", RECIPES)
def test_the_first_steps_trained_again_agree_with_the_bundled_ones(tmp_path, name):
    shipped = load_run(name)
    if "data" in shipped.manifest and shipped.manifest["data"] != find_task(RECIPES[name]).about():
        pytest.skip(f"{name} was trained on the text of Python {shipped.manifest['data']['python']}")
    steps = RECIPES[name].first_seed_checkpoints
    last = next(last for start, last in FIRST_STEPS.items() if name.startswith(start))
    train_shortly(tmp_path / "again", steps=last, name=name)
    again = load_run(tmp_path / "again")
    assert again.steps() == tuple(step for step in steps if step <= last) and len(again.steps()) >= 2
    for step in again.steps():
        found, expected = (weights_of(run.checkpoint(step)) for run in (again, shipped))
        assert found.keys() == expected.keys()
        for key in (key for key in expected if expected[key].ndim == 2):
            # another processor rounds otherwise, and every step adds its own difference: 2 units after 16 steps
            units = max(2, step / 8)
            assert share_within_units(found[key], expected[key], units) >= 0.999, (step, key)


def share_within_units(found, expected, units):
    """Share of fp16 weights that differ by at most ``units`` times the gap between neighbouring fp16 numbers."""
    gap = np.spacing(np.maximum(np.abs(found), np.abs(expected))).astype(np.float64)
    return float((np.abs(found.astype(np.float64) - expected.astype(np.float64)) <= units * gap).mean())
