"""A real JupyterLab in a real browser: notebooks run, and their sliders move the pictures and the numbers."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, SANDBOX
from neuromfa_lite.evaluation.values import rise_after
from neuromfa_lite.fractals import Cascade
from neuromfa_lite.panels.fractals import ORDERS

ROOT = Path(__file__).parent.parent
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
PATIENCE = 120_000  # milliseconds, for a busy machine
IDLE = '.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator[data-status="idle"]'

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on 127.0.0.1, with a copy of the notebooks and no settings of the user."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    config = home / "config" / "labconfig"
    config.mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (config / "page_config.json").write_text(json.dumps(quiet))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
    ]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home / 'notebooks'}"]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, home / "log")
        yield f"http://127.0.0.1:{port}", token, home / "notebooks"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(address, server, log):
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture
def page(playwright):
    assert CHROMIUM, "the browser test needs chromium (Debian: apt-get install chromium)"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    yield page
    browser.close()


def _open_and_run_all(page, lab, notebook):
    address, token, _ = lab
    page.goto(f"{address}/lab/workspaces/auto-{notebook[:2]}/tree/{notebook}?reset&token={token}")
    page.wait_for_selector(IDLE)
    page.wait_for_function(
        "() => { const k = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Toolbar-kernelName');"
        " return k && !k.textContent.includes('No Kernel'); }"
    )
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    page.wait_for_selector(".neuromfa-panel .neuromfa-numbers")
    page.wait_for_selector(IDLE)


def _panel(page, control):
    """The panel that has a control of this name."""
    return page.locator(".neuromfa-panel", has=page.locator(f".neuromfa-{control}")).first


def _shown_numbers(panel):
    # Not the inner text: of a cell out of sight JupyterLab renders none.
    text = panel.locator(".neuromfa-numbers").text_content()
    return {name: float(value) for name, value in re.findall(r"(\w[\w ]*) = ([-\d.]+)", text)}


def _picture(panel):
    return panel.locator("img").get_attribute("src")


def _press(page, panel, control, key, times=1):
    """Give the keyboard to a slider and press a key."""
    handle = panel.locator(f".neuromfa-{control} .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    for _ in range(times):
        page.keyboard.press(key)


def _wait_for_numbers(page, control, words):
    page.wait_for_function(
        "([control, words]) => [...document.querySelectorAll('.neuromfa-panel')].some(panel => "
        "panel.querySelector('.neuromfa-' + control) && "
        "panel.querySelector('.neuromfa-numbers').textContent.includes(words))",
        arg=[control, words],
    )


def _no_errors(page, doubts=False):
    """No error, and nothing on stderr but, where a lesson wants them, the package's doubts about its fits."""
    assert page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    said = page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').all_text_contents()
    assert [text for text in said if not (doubts and "QualityWarning" in text)] == []


def test_start_here_runs_and_its_slider_moves_picture_and_numbers(page, lab, tmp_path):
    _open_and_run_all(page, lab, "00_start_here.ipynb")
    _no_errors(page)
    panel = _panel(page, "step")
    before, numbers_before = _picture(panel), _shown_numbers(panel)
    _press(page, panel, "step", "ArrowLeft", times=4)
    run = nmfa.load_run("induction")
    step = run.steps()[-5]
    wanted = nmfa.analyze(nmfa.load_network(run.checkpoint(step)).sample(32, seed=0))
    _wait_for_numbers(page, "step", f"alpha0 = {wanted.alpha0:.4f}")
    page.screenshot(path=str(tmp_path / "start_here.png"))
    numbers = _shown_numbers(panel)
    assert _picture(panel) != before and numbers != numbers_before
    assert numbers["width"] == pytest.approx(wanted.width, abs=5e-5)
    assert numbers["r2"] == pytest.approx(wanted.r2, abs=5e-5)
    assert numbers["copy_accuracy"] == pytest.approx(run.checkpoint(step).abilities["copy_accuracy"], abs=5e-5)


def test_a_picture_keeps_its_proportions_in_a_narrow_window(page, lab, tmp_path):
    _open_and_run_all(page, lab, "00_start_here.ipynb")
    panel = _panel(page, "step")
    for width in (1300, 900):
        page.set_viewport_size({"width": width, "height": 1000})
        panel.scroll_into_view_if_needed()
        page.wait_for_timeout(500)  # the window lays its panes out anew
        page.screenshot(path=str(tmp_path / f"window_{width}.png"))
        shown, own, room = panel.locator("img").evaluate(
            "each => [[each.width, each.height], [each.naturalWidth, each.naturalHeight], each.parentNode.clientWidth]"
        )
        assert shown[1] / shown[0] == pytest.approx(own[1] / own[0], rel=0.01), width
        assert shown[0] <= min(own[0], room) and shown[0] > 0.9 * min(own[0], room), (width, shown, room)


def test_the_words_of_a_run_folder_are_not_run(page, lab):
    script = "<img src=x onerror=\"document.title='a script of the folder'\">"
    bundled, folder = nmfa.load_run("modular-addition"), lab[2] / "mine"
    shutil.copytree(bundled.folder, folder)
    checkpoints = [
        {**entry, "abilities": {script: entry["abilities"][bundled.ability]}}
        for entry in bundled.manifest["checkpoints"]
        if entry["seed"] == 0
    ]
    odd = {"run": script, "title": script, "ability": script, "checkpoints": checkpoints}
    (folder / "manifest.json").write_text(json.dumps({**bundled.manifest, **odd}))
    code = (
        "import neuromfa_lite as nmfa\nfrom neuromfa_lite.panels import EmergencePanel, StartHerePanel",
        "run = nmfa.load_run('mine')\nnmfa.analyze(nmfa.load_network(run.checkpoint(0)).sample(32))",
        "history = nmfa.follow(run, nmfa.PAPER.replace(name=run.name), samples=2)\nhistory",
        "display(run, StartHerePanel(run, samples=2), EmergencePanel(history))",
    )
    notebook = nbformat.read(lab[2] / "00_start_here.ipynb", as_version=4)
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in code]
    nbformat.write(notebook, lab[2] / "99_odd_words.ipynb")
    _open_and_run_all(page, lab, "99_odd_words.ipynb")
    _no_errors(page, doubts=True)
    assert page.locator('.jp-OutputArea img[src="x"]').count() == 0 and "script" not in page.title()
    assert script in page.locator(".jp-Notebook").text_content()


def test_fractals_theory_and_measurement_follow_the_slider(page, lab, tmp_path):
    _open_and_run_all(page, lab, "02_fractals_and_multifractals.ipynb")
    _no_errors(page, doubts=True)
    panel = _panel(page, "p")
    before, first = _picture(panel), _shown_numbers(panel)
    _press(page, panel, "p", "ArrowLeft", times=4)  # from 0.3 in steps of 0.05
    cascade = Cascade([0.1, 0.9], levels=9)
    orders = SANDBOX.replace(q=ORDERS, radii="natural")
    _wait_for_numbers(page, "p", f"D_2 = {cascade.exact_dimension(2.0):.4f}")
    page.screenshot(path=str(tmp_path / "fractals.png"))
    numbers = _shown_numbers(panel)
    assert _picture(panel) != before and numbers["width"] > first["width"]
    assert numbers["D_2 by boxes"] == pytest.approx(cascade.exact_dimension(2.0), abs=1e-4)
    assert numbers["width by balls"] == pytest.approx(nmfa.analyze(cascade, orders).width, abs=5e-5)


def test_build_the_spectrum_window_and_radii_move_the_exponents_and_the_badge(page, lab, tmp_path):
    _open_and_run_all(page, lab, "03_build_the_spectrum.ipynb")
    _no_errors(page, doubts=True)
    panel = _panel(page, "window")
    panel.scroll_into_view_if_needed()
    page.screenshot(path=str(tmp_path / "spectrum.png"))
    network = nmfa.load_network(nmfa.load_run("induction").checkpoint(724)).sample(32, seed=0)
    for control, keys, method in (
        ("window", ("End",), PAPER.replace(window=(1, 400))),
        ("radius", ("End", "ArrowLeft"), PAPER.replace(window=(1, 400), scaling_range=(99, 400))),
    ):
        before = _picture(panel)
        for key in keys:
            _press(page, panel, control, key)
        wanted = nmfa.analyze(network, method)
        _wait_for_numbers(page, "window", f"alpha0 = {wanted.alpha0:.4f}")
        _wait_for_numbers(page, "window", "badge = " + ("; ".join(wanted.flags) or wanted.verdict))
        assert _picture(panel) != before
        assert _shown_numbers(panel)["width"] == pytest.approx(wanted.width, abs=5e-5)
    page.screenshot(path=str(tmp_path / "spectrum_moved.png"))


def test_is_it_structure_shows_what_a_change_does(page, lab, tmp_path):
    _open_and_run_all(page, lab, "05_is_it_structure.ipynb")
    _no_errors(page, doubts=True)
    panel = _panel(page, "change")
    panel.scroll_into_view_if_needed()
    assert "ability after" not in _shown_numbers(panel)
    panel.locator(".neuromfa-reveal input").check()
    before, words = _picture(panel), "layer norms folded"
    panel.locator(".neuromfa-change select").select_option(words)
    run = nmfa.load_run("induction")
    wanted = rise_after(run, PAPER, words).mean()
    _wait_for_numbers(page, "change", f"measure after = {wanted:.4f}")
    page.screenshot(path=str(tmp_path / "structure.png"))
    numbers = _shown_numbers(panel)
    assert _picture(panel) != before
    assert numbers["ability before"] == numbers["ability after"] == pytest.approx(0.988, abs=5e-4)


def test_your_own_model_runs_and_a_neuron_shows_whom_it_reaches(page, lab, tmp_path):
    pytest.importorskip("torch")
    _open_and_run_all(page, lab, "08_your_own_model.ipynb")
    _no_errors(page, doubts=True)
    panel = _panel(page, "neuron")
    before, first = _picture(panel), _shown_numbers(panel)
    panel.locator(".neuromfa-layer select").select_option("before gpt_neox.layers.0.attention.dense")
    _press(page, panel, "neuron", "ArrowRight", times=3)
    _wait_for_numbers(page, "neuron", "neuron = 3")
    page.screenshot(path=str(tmp_path / "wiring.png"))
    network = nmfa.load_network(nmfa.load_run("induction").checkpoint(724), wiring="dataflow")
    reached = network.reached("block 0 attention", 3)
    numbers = _shown_numbers(panel)
    assert _picture(panel) != before and numbers != first
    assert numbers["reached at all"] == reached.neurons.sum() - 1
