"""Training a run again: what is stored, what is refused, and what a stopped or killed training leaves."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.laboratory import RECIPES, load_run, manifests, training, verify_run
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
        ({"name": "code-lm", "steps": 1449}, "at least 0, at most 1448"),
        ({"seed": -1}, "seed"),
        ({"steps": -1}, "at least 0, at most 724"),
        ({"steps": 725}, "at least 0, at most 724"),
        ({"steps": 1.5}, "at least 0, at most 724"),
        ({"seed": 2**63}, "seed"),
        ({"name": ["induction"]}, "no recipe is called"),
    ],
)
def test_impossible_trainings_are_refused_before_any_work(tmp_path, arguments, message):
    with pytest.raises(NeuroMFAError, match=message):
        training.train(**{"name": "induction", "folder": tmp_path / "mine", "progress": False} | arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("", "folder=.* must be the name of a file or folder"),
        ("a\0b", "folder has a zero byte"),
        (3, "folder=.* must be the name of a file or folder"),
        ("thesis.txt", "is a file"),
        ("thesis.txt/mine", "cannot write in .*thesis.txt"),
        ("x" * 300, "cannot write in .*too long"),
        ("/proc/mine", "cannot write in /proc/mine"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named_before_any_work(tmp_path, monkeypatch, folder, message):
    monkeypatch.chdir(tmp_path)
    Path("thesis.txt").write_text("mine")
    monkeypatch.setattr(training, "build_model", lambda *a: pytest.fail("it has begun"))
    with pytest.raises(NeuroMFAError, match=message):
        train_shortly(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["thesis.txt"]


def test_a_full_disk_is_named_before_the_first_step(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(training, "save_checkpoint", full)
    monkeypatch.setattr(training, "_update", lambda *a: pytest.fail("a step was made"))
    with pytest.raises(NeuroMFAError, match=r"cannot write in .*mine \(No space left"):
        train_shortly(tmp_path / "mine")
    assert not list(tmp_path.iterdir())


def stop_at(monkeypatch, step, error=KeyboardInterrupt):
    """Make the update from this step fail."""
    update = training._update

    def failing(loss, optimizer, rate):
        if optimizer.state_dict()["state"].get(0, {"step": 0})["step"] >= step:
            raise error("stopped")
        update(loss, optimizer, rate)

    monkeypatch.setattr(training, "_update", failing)


@pytest.mark.parametrize(("step", "error"), [(0, RuntimeError), (3, KeyboardInterrupt)])
def test_a_training_that_is_stopped_leaves_nothing_and_starts_again(tmp_path, monkeypatch, step, error):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with monkeypatch.context() as patched:
            stop_at(patched, step, error)
            with pytest.raises(error, match="stopped"):
                train_shortly(tmp_path / "new" / "mine", steps=4)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not list(tmp_path.iterdir())
    again = train_shortly(tmp_path / "new" / "mine", steps=4)
    assert again["checkpoints"] == train_shortly(tmp_path / "other", steps=4)["checkpoints"]


@pytest.mark.parametrize("step", ["write", "publish"])
def test_a_failure_while_storing_keeps_the_run_as_it_was_and_is_made_good(tmp_path, monkeypatch, step):
    folder, replace = tmp_path / "mine", os.replace
    train_shortly(folder)

    def failing(source, target):
        if Path(target).name == "manifest.json":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as broken:
        if step == "write":
            broken.setattr(manifests.json, "dumps", lambda *a, **k: 1 / 0)
        else:
            broken.setattr(manifests.os, "replace", failing)
        for seed in (0, 1):
            with pytest.raises((ZeroDivisionError, KeyboardInterrupt)):
                train_shortly(folder, steps=2, seed=seed, overwrite=True)
        assert load_run(folder).steps() == (0, 1) and verify_run(folder)["ok"].all()
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0"}
    train_shortly(folder, steps=2, overwrite=True)
    assert load_run(folder).steps() == (0, 1, 2) and verify_run(folder)["ok"].all()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_overwritten_seed_lies_in_the_other_folder_and_a_run_opened_before_says_so(tmp_path):
    folder = tmp_path / "mine"
    train_shortly(folder)
    before = load_run(folder)
    train_shortly(folder, steps=2, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0-again"}
    with pytest.raises(SourceError, match="load the run once more"):
        before.checkpoint(1)
    train_shortly(folder, steps=0, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "seed-0"}
    assert load_run(folder).steps() == (0,) and verify_run(folder)["ok"].all()


def test_training_shows_its_loss(tmp_path, capsys):
    training.train("induction", folder=tmp_path / "mine", steps=1)
    shown = capsys.readouterr().err
    assert "induction, seed 0" in shown and "loss=4.1" in shown and "copy_accuracy=0.0" in shown


# ---- killed, and many at once ------------------------------------------------------------------------------


def killing(what, place):
    """What tests/killing.py prints."""
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run([sys.executable, script, what, place / "there"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("where", ["renames", pytest.param("kills", marks=pytest.mark.retraining)])
def test_a_kill_at_a_change_of_the_file_system_loses_nothing_and_the_same_command_works(tmp_path, where):
    found = killing(where, tmp_path)
    assert found["wrong"] == [] and (found["killed"] == 10 if where == "renames" else found["killed"] > 110)


def test_seeds_published_at_once_are_all_there(tmp_path):
    found = killing("crowd", tmp_path)
    assert found["codes"] == [0] * 8 and found["seeds"] == [*range(8)]
    assert found["names"] == ["manifest.json", *(f"seed-{seed}" for seed in range(8))]


def test_two_trainings_of_one_seed_do_not_write_over_each_other(tmp_path):
    with manifests.workshop(tmp_path / "mine", 0) as hidden:
        with pytest.raises(NeuroMFAError, match="another process trains seed 0"):
            train_shortly(tmp_path / "mine")
        train_shortly(tmp_path / "mine", seed=1)
        assert hidden.is_dir()
    train_shortly(tmp_path / "mine")
    assert load_run(tmp_path / "mine").seeds == (0, 1)


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
