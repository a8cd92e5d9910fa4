"""The panel of lesson 05 shows what a change does to the ability and to a measure, as a fresh computation gives it."""

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.evaluation.abilities_after import ability_after
from neuromfa_lite.evaluation.changes import EVERY_CHANGE, changed
from neuromfa_lite.evaluation.measures.token_clouds import token_cloud
from neuromfa_lite.panels import ChangePanel


@pytest.fixture(scope="module")
def panel():
    panel = ChangePanel("induction", samples=3)
    assert not panel.controls["reveal"].value and "measure after" not in panel.numbers
    panel.controls["reveal"].value = True
    return panel


def emergence(network, start):
    """E of every sample against the same sample at step 0, by analyze()."""
    values = []
    for seed in range(3):
        now, then = (nmfa.analyze(each.sample(32, seed=seed)) for each in (network, start))
        values.append(now.width / then.width * np.log(then.alpha0 / now.alpha0))
    return np.array(values)


def test_five_settings_show_a_fresh_computation_and_another_picture(panel):
    run = nmfa.load_run("induction")
    start = nmfa.load_network(run.checkpoint(0))
    before = emergence(nmfa.load_network(run.checkpoint(724)), start)
    panel.controls["measure"].value, pictures = "published E", {panel.png}
    for words in np.random.default_rng(1).choice(list(EVERY_CHANGE), 5, replace=False).tolist():
        panel.controls["change"].value = words
        after = emergence(nmfa.load_network(changed(run, words)), start)
        expected = {
            "ability before": run.checkpoint(724).abilities["copy_accuracy"],
            "ability after": ability_after(run, words),
            "measure before": before.mean(),
            "sd before": before.std(ddof=1),
            "measure after": after.mean(),
            "sd after": after.std(ddof=1),
        }
        assert panel.numbers == pytest.approx(expected, abs=1e-12)
        pictures.add(panel.png)
    assert len(pictures) == 6


def test_another_measure_is_another_number(panel):
    panel.controls["change"].value, panel.controls["measure"].value = "a common factor", "token cloud"
    run = nmfa.load_run("induction")
    before = token_cloud(run.checkpoint(724)) - token_cloud(run.checkpoint(0))
    assert panel.numbers["measure before"] == pytest.approx(before, abs=1e-12)
    assert panel.numbers["measure after"] == pytest.approx(before, abs=1e-6)


def test_the_answer_is_hidden_until_it_is_asked_for(panel):
    panel.controls["change"].value, panel.controls["reveal"].value = "random signs", True
    shown = panel.png
    panel.controls["reveal"].value = False
    assert panel.png != shown and set(panel.numbers) == {"ability before", "measure before"}
    panel.controls["reveal"].value = True
    assert panel.png == shown


def test_an_unknown_change_is_refused_by_name():
    with pytest.raises(NeuroMFAError, match="no change is called 'polished'"):
        changed(nmfa.load_run("induction"), "polished")


@pytest.mark.torch
def test_stored_abilities_are_what_the_models_do():
    run = nmfa.load_run("induction")
    from neuromfa_lite.evaluation import abilities_after

    stored = abilities_after._stored()[abilities_after._hash(run, 1)]
    for words in ("permuted connections", "layer norms folded"):
        assert stored[words] == pytest.approx(abilities_after._measured(run, words, 1), abs=0.002)
