"""The first panel shows what analyze() and follow() give, and its picture follows its controls."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neuromfa_lite as nmfa
from neuromfa_lite.laboratory.runs import Run
from neuromfa_lite.panels import StartHerePanel


@pytest.fixture(scope="module")
def panel():
    return StartHerePanel(samples=2)


def _wanted(run, step):
    return nmfa.analyze(nmfa.load_network(run.checkpoint(step)).sample(32, seed=0))


def test_numbers_equal_analyze_and_the_picture_changes(panel):
    rng = np.random.default_rng(5)
    pictures = {panel.png}
    choices = [
        (str(rng.choice(["induction", "induction-control"])), int(step))
        for step in rng.choice([0, 16, 64, 128, 256, 512], 5, False)
    ]
    for name, step in choices:
        panel.controls["run"].value, panel.controls["step"].value = name, step
        run = nmfa.load_run(name)
        spectrum = _wanted(run, step)
        for number in ("alpha0", "width"):
            low, high = spectrum.band(number)
            assert panel.numbers[f"{number}_band"] == pytest.approx((low, high), abs=1e-12)
            assert f"[{low:.4f} \u2026 {high:.4f}]" in panel.readout.value
        for number in ("alpha0", "width", "r2"):
            assert panel.numbers[number] == pytest.approx(getattr(spectrum, number), abs=1e-12)
            assert f"{getattr(spectrum, number):.4f}" in panel.readout.value
        summary = nmfa.follow(run, samples=2, steps=[0, step]).summary().set_index("step").loc[step]
        assert panel.numbers["E"] == pytest.approx(summary["emergence"], abs=1e-12)
        assert panel.numbers["E_sd"] == pytest.approx(summary["emergence_sd"], abs=1e-12)
        assert panel.numbers["copy_accuracy"] == run.checkpoint(step).abilities["copy_accuracy"]
        pictures.add(panel.png)
    assert len(pictures) == 6


def test_a_changed_checkpoint_changes_what_is_shown(panel, tmp_path):
    run = nmfa.load_run("induction")
    copy = tmp_path / "induction"
    shutil.copytree(run.folder, copy)
    path = copy / "seed-0" / "step-000256" / "model.safetensors"
    weights = load_file(path)
    changed = {name: np.tanh(3 * array) if array.ndim == 2 else array for name, array in weights.items()}
    save_file(changed, path)
    mine = Run(run.name, copy, run.manifest)
    other = StartHerePanel(runs=[mine], samples=1)
    panel.controls["run"].value, panel.controls["step"].value = "induction", 256
    other.controls["step"].value = 256
    assert other.numbers["alpha0"] == pytest.approx(_wanted(mine, 256).alpha0, abs=1e-12)
    assert abs(other.numbers["alpha0"] - panel.numbers["alpha0"]) > 0.01


def test_the_readout_tells_sample_0_from_all_samples(panel):
    text = re.sub("<.*?>|&ensp;", "", panel.readout.value)
    first, all_samples, ability = text.split(";")
    assert first.startswith(f"sample 0: alpha0 = {panel.numbers['alpha0']:.4f} [") and ", r2 = " in first
    spread = f"{panel.numbers['E_sd']:.4f} (standard deviation over 2 samples of neurons)"
    assert all_samples == f" E = {panel.numbers['E']:.4f} \u00b1 {spread}"
    assert ability == f" copy_accuracy = {panel.numbers['copy_accuracy']:.4f}"


def test_every_warning_stays_inside_its_axes(panel):
    for run, step in panel.spectra:
        panel.controls["run"].value, panel.controls["step"].value = run, step
        words, axes = panel._badge.get_window_extent(), panel._badge.axes.get_window_extent()
        assert axes.x0 <= words.x0 and words.x1 <= axes.x1 and axes.y0 <= words.y0 and words.y1 <= axes.y1
    assert any(spectrum.flags for spectrum in panel.spectra.values())


def test_runs_without_ability_or_of_one_name_are_refused():
    run = nmfa.load_run("induction")
    with pytest.raises(nmfa.NeuroMFAError, match="run 'induction' records no ability"):
        StartHerePanel(replace(run, manifest={**run.manifest, "ability": None}), samples=1)
    with pytest.raises(nmfa.NeuroMFAError, match="tells its runs apart by name, and two of"):
        StartHerePanel(["induction", run.folder], samples=1)


def test_the_saved_notebook_keeps_the_picture(panel):
    bundle = panel._repr_mimebundle_()
    assert bundle["image/png"] and "application/vnd.jupyter.widget-view+json" in bundle
