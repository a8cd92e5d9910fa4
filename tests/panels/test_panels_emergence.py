"""The panel of lesson 04 shows what follow() gives, uncovers the steps one by one, and obeys its play button."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite.panels import EmergencePanel
from neuromfa_lite.plots.curves import plot_ability, plot_trajectory

RUNS = ("induction", "induction-control")


@pytest.fixture(scope="module")
def panel():
    return EmergencePanel(RUNS, samples=2)


@pytest.fixture(autouse=True)
def from_the_end(request):
    if "panel" in request.fixturenames:
        controls = request.getfixturevalue("panel").controls
        controls["step"].value, controls["future"].value = 724, False


def expected(run, step, samples):
    row = nmfa.follow(run, samples=samples, steps=sorted({0, step})).summary().set_index("step").loc[step]
    names = {"E": "emergence", "E_sd": "emergence_sd", "alpha0": "alpha0", "width": "width"}
    names |= {"alpha0_sd": "alpha0_sd", "width_sd": "width_sd", "r2": "r2"}
    numbers = {f"{name} {run.name}": row[column] for name, column in names.items()}
    return {**numbers, f"copy_accuracy {run.name}": run.checkpoint(step).abilities["copy_accuracy"]}


def test_the_panel_begins_at_step_0_behind_the_curtain(panel):
    fresh = EmergencePanel(panel.histories.values())
    assert [fresh.controls[name].value for name in ("step", "play", "future")] == [0, 0, False]
    assert fresh.numbers["E induction"] == 0
    panel.controls["step"].value = 0
    assert fresh.png == panel.png


def test_five_settings_show_what_follow_gives_and_another_picture(panel):
    generator, pictures = np.random.default_rng(4), {panel.png}
    for step in generator.choice(nmfa.load_run("induction").steps()[:-1], 5, replace=False).tolist():
        panel.controls["step"].value = step
        wanted = {}
        for name in RUNS:
            wanted |= expected(nmfa.load_run(name), step, samples=2)
        assert panel.numbers == pytest.approx(wanted, rel=0, abs=1e-12)
        for name in RUNS:
            assert f"<b>{wanted[f'E {name}']:.3f}</b>" in panel.readout.value
        pictures.add(panel.png)
    assert len(pictures) == 6


def test_a_single_sample_is_shown_with_its_errors():
    panel = EmergencePanel("induction", samples=1)
    panel.controls["step"].value = 724
    row = panel.histories["induction"].summary().iloc[-1]
    assert panel.numbers["E_error induction"] == row["emergence_error"] > 0
    assert f"&plusmn; {row['alpha0_error']:.3f}" in panel.readout.value and "E_sd induction" not in panel.numbers
    assert "over the neurons of one sample" in panel.figure.get_suptitle()


def test_alpha0_and_width_are_the_averages_of_analyze(panel):
    panel.controls["step"].value = 215
    network = nmfa.load_network(nmfa.load_run("induction").checkpoint(215))
    spectra = [nmfa.analyze(network.sample(32, seed=seed)) for seed in (0, 1)]
    for name in ("alpha0", "width"):
        mean = np.mean([getattr(spectrum, name) for spectrum in spectra])
        assert panel.numbers[f"{name} induction"] == pytest.approx(mean, abs=1e-12)


def test_the_play_button_advances_the_step_and_the_slider_moves_the_button(panel):
    play, step = panel.controls["play"], panel.controls["step"]
    assert play.value == play.max
    before, play.value = panel.png, 3
    assert step.value == step.options[3]
    assert panel.png != before
    step.value = step.options[7]
    assert play.value == 7


def test_one_move_draws_one_picture(panel, monkeypatch):
    drawn = []
    encode = panel._encode
    monkeypatch.setattr(panel, "_encode", lambda: drawn.append(1) or encode())
    panel.controls["play"].value = 5
    assert len(drawn) == 1


def test_the_future_is_hidden_until_it_is_asked_for(panel):
    panel.controls["step"].value = 64
    hidden, numbers = panel.png, panel.numbers
    panel.controls["future"].value = True
    assert panel.png != hidden and panel.numbers == numbers


def test_trajectories_are_shown_as_they_were_followed(panel):
    other = EmergencePanel(panel.histories.values())
    other.controls["step"].value = 724
    assert other.numbers == panel.numbers and other.png == panel.png


def test_one_run_may_be_given_as_name_folder_run_or_trajectory(panel):
    run = nmfa.load_run("induction")
    wanted = {name: value for name, value in panel.numbers.items() if name.endswith(" induction")}
    for one in ("induction", run.folder, run, panel.histories["induction"]):
        other = EmergencePanel(one, samples=2)
        other.controls["step"].value = 724
        assert other.numbers == pytest.approx(wanted, rel=0, abs=1e-12)


def test_two_runs_of_one_name_are_refused(panel):
    for other in ("induction", nmfa.load_run("induction").folder, panel.histories["induction"]):
        with pytest.raises(nmfa.NeuroMFAError, match="tells its runs apart by name, and two of"):
            EmergencePanel(["induction", other], samples=2)


def test_a_run_without_ability_has_a_trajectory_and_no_panel(panel):
    run = nmfa.load_run("induction")
    without = replace(run, manifest={**run.manifest, "ability": None})
    followed = replace(panel.histories["induction"], ability_name=None)
    assert plot_trajectory(followed).get_ylabel() == "degree of emergence $E$"
    with pytest.raises(nmfa.NeuroMFAError, match="run 'induction' records no ability"):
        plot_ability(followed)
    for one in (without, followed):
        with pytest.raises(nmfa.NeuroMFAError, match="run 'induction' records no ability"):
            EmergencePanel(["induction-control", one], samples=2)


def test_a_changed_checkpoint_changes_numbers_and_picture(tmp_path):
    folder = tmp_path / "induction"
    shutil.copytree(nmfa.load_run("induction").folder, folder)
    changed = folder / "seed-0" / "step-000256" / "model.safetensors"
    weights = load_file(changed)
    save_file({name: np.tanh(3 * each) if each.ndim == 2 else each for name, each in weights.items()}, changed)
    run = nmfa.load_run(folder)
    ours, shipped = EmergencePanel([run], samples=2), EmergencePanel(["induction"], samples=2)
    for panel in (ours, shipped):
        panel.controls["step"].value = 256
    assert ours.numbers == pytest.approx(expected(run, 256, samples=2), rel=0, abs=1e-12)
    assert abs(ours.numbers["E induction"] - shipped.numbers["E induction"]) > 0.05
    assert ours.png != shipped.png


def test_the_notebook_keeps_the_picture_of_the_panel(panel):
    assert panel._repr_mimebundle_()["image/png"]


def test_a_panel_shows_flags_and_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel = EmergencePanel(samples=1)
    assert all(history.flags for history in panel.histories.values())
