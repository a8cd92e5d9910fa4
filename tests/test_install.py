"""From a fresh clone to a running package: the set-up and its stamp, JupyterLab, the wheel."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import neuromfa_lite
from neuromfa_lite import launch
from neuromfa_lite.cli import main as command_line
from neuromfa_lite.errors import NeuroMFAError

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "setup_environment.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SITE_PACKAGES = sysconfig.get_path("purelib")
on_posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in for an interpreter is a shell script")


# --- the set-up script -----------------------------------------------------------------------------------------


@pytest.fixture
def setup():
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "constraints.txt").write_text("numpy==2.0\n")
    return folder


class FakeRun:
    """Stands for subprocess.run: keeps what was asked, makes an empty venv, fails where told to."""

    def __init__(self, setup, root, fail=(), lacks=()):
        self.setup, self.root, self.fail, self.lacks, self.asked = setup, root, fail, lacks, []

    def __call__(self, command, **options):
        self.asked.append([str(part) for part in command])
        python = self.setup.venv_python(self.root)
        if "-c" in command[:2]:
            broken = Path(command[0]) == python and not python.exists()
            absent = any(module in command[2] for module in self.lacks)
            return SimpleNamespace(returncode=int(broken or absent), stdout="3 12\n")
        if "venv" in command:
            python.parent.mkdir(parents=True, exist_ok=True)
            python.write_text("")
        return SimpleNamespace(returncode=int(any(word in command for word in self.fail)))

    def count(self, word):
        return sum(word in command for command in self.asked)


def test_first_call_installs_and_second_does_nothing(setup, clone):
    run = FakeRun(setup, clone)
    assert setup.ensure(clone, run) == setup.venv_python(clone)
    assert run.count("venv") == run.count("install") == 1
    assert [".[train,test]" in command for command in run.asked if "install" in command] == [True]
    assert setup.is_current(clone)
    before = len(run.asked)
    setup.ensure(clone, run)
    assert len(run.asked) == before


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again_into_the_same_environment(setup, clone, name):
    run = FakeRun(setup, clone)
    setup.ensure(clone, run)
    (clone / name).write_text("changed\n")
    assert not setup.is_current(clone)
    setup.ensure(clone, run)
    assert (run.count("venv"), run.count("install")) == (1, 2)


def test_a_failed_installation_leaves_no_stamp(setup, clone):
    setup.ensure(clone, FakeRun(setup, clone))
    (clone / "constraints.txt").write_text("changed\n")
    with pytest.raises(setup.SetupError, match="tries again"):
        setup.ensure(clone, FakeRun(setup, clone, fail=["install"]))
    assert not [path for path in setup.venv_folder(clone).iterdir() if "stamp" in path.name]
    (clone / "constraints.txt").write_text("numpy==2.0\n")
    assert not setup.is_current(clone)


def test_a_broken_environment_is_made_again(setup, clone):
    run = FakeRun(setup, clone)
    setup.ensure(clone, run)
    setup.venv_python(clone).unlink()
    assert not setup.is_current(clone)
    setup.ensure(clone, run)
    assert run.count("venv") == 2


def test_a_moved_clone_installs_again(setup, clone, tmp_path):
    setup.ensure(clone, FakeRun(setup, clone))
    moved = clone.rename(tmp_path / "elsewhere")
    assert not setup.is_current(moved)


def test_a_python_without_ensurepip_names_the_package_to_install(setup, clone):
    with pytest.raises(setup.SetupError, match=r"apt-get install python3\.12-venv"):
        setup.ensure(clone, FakeRun(setup, clone, lacks=["ensurepip"]))
    assert not setup.venv_folder(clone).exists()


def test_an_environment_that_cannot_be_made_is_not_left_half(setup, clone):
    with pytest.raises(setup.SetupError, match="could not make"):
        setup.ensure(clone, FakeRun(setup, clone, fail=["venv"]))
    assert not setup.venv_folder(clone).exists()


def test_an_old_python_is_told_so(setup, monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    with pytest.raises(setup.SetupError, match=r"needs Python 3\.11 or newer; this is Python 3\.9 "):
        setup.find_python()


def test_an_old_python_finds_a_newer_one_beside_it(setup, clone, monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"bin/{name}" if name == "python3.12" else None)
    assert setup.find_python(FakeRun(setup, clone)) == "bin/python3.12"


def test_an_incomplete_clone_is_named(setup, tmp_path):
    with pytest.raises(setup.SetupError, match=r"pyproject\.toml is missing"):
        setup.fingerprint(tmp_path)


# --- python -m neuromfa_lite before anything is installed --------------------------------------------------------


def bare_python(folder, *arguments):
    """`python -m neuromfa_lite` in a folder, by a Python that sees no installed package at all."""
    command = [sys.executable, "-S", "-m", "neuromfa_lite", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def bare_clone(clone):
    (clone / "neuromfa_lite").mkdir()
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "neuromfa_lite" / name, clone / "neuromfa_lite" / name)
    (clone / "scripts").mkdir()
    shutil.copy(SCRIPT, clone / "scripts" / SCRIPT.name)
    return clone


def test_without_dependencies_the_way_out_is_named(bare_clone):
    done = bare_python(bare_clone, "runs")
    assert done.returncode == 1
    assert "numpy" in done.stderr and "make lab" in done.stderr and "Traceback" not in done.stderr


def test_without_dependencies_and_without_a_clone_pip_is_named(bare_clone):
    shutil.rmtree(bare_clone / "scripts")
    done = bare_python(bare_clone, "lab")
    assert done.returncode == 1
    assert "pip install numpy" in done.stderr and "Traceback" not in done.stderr


def test_a_set_up_that_fails_says_why_and_nothing_else(bare_clone):
    (bare_clone / "constraints.txt").unlink()
    done = bare_python(bare_clone, "lab")
    assert done.returncode == 1
    assert done.stderr.startswith("set-up: ") and "constraints.txt is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@on_posix
def test_a_ready_environment_takes_over_with_the_same_arguments(bare_clone, setup):
    python = setup.venv_python(bare_clone)
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "taken over: $*"\n')
    python.chmod(0o755)
    setup.write_stamp(bare_clone, setup.fingerprint(bare_clone))
    done = bare_python(bare_clone, "follow", "induction", "--json")
    assert done.stdout == "taken over: -m neuromfa_lite follow induction --json\n"


@on_posix
def test_lab_makes_the_environment_first(bare_clone):
    script = bare_clone / "scripts" / SCRIPT.name
    script.write_text(
        script.read_text()
        .replace("def install(", "def real_install(")
        .replace(
            "def write_stamp(",
            "def install(root, run=None):\n    venv_python(root).unlink()\n"
            "    venv_python(root).write_text('#!/bin/sh\\necho \"in .venv: $*\"\\n')\n"
            "    venv_python(root).chmod(0o755)\n\n\ndef write_stamp(",
        )
    )  # all but pip, which would fetch gigabytes
    done = bare_python(bare_clone, "lab")
    assert done.stdout.splitlines()[-1] == "in .venv: -m neuromfa_lite lab", done.stderr
    assert (bare_clone / ".venv" / "neuromfa_lite.stamp").is_file()


# --- JupyterLab --------------------------------------------------------------------------------------------------


def make_course(folder):
    (folder / "notebooks").mkdir(parents=True)
    (folder / launch.START).write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    return folder


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


def test_the_course_is_found_here_or_beside_the_package(course, tmp_path, monkeypatch):
    monkeypatch.chdir(course)
    assert launch.find_course() == course
    monkeypatch.setattr(launch, "__file__", str(course / "neuromfa_lite" / "launch.py"))
    assert launch.find_course(tmp_path) == course
    monkeypatch.setattr(launch, "__file__", str(tmp_path / "site-packages" / "neuromfa_lite" / "launch.py"))
    with pytest.raises(NeuroMFAError, match="git clone"):
        launch.find_course(tmp_path)


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_allow_root_only_for_root(user, allowed, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in launch.lab_arguments(Path("course"))) is allowed


def test_no_browser_without_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not launch.has_browser()


def test_an_empty_token_is_refused(course, monkeypatch):
    monkeypatch.chdir(course)
    with pytest.raises(NeuroMFAError, match="token is empty"):
        launch.launch_lab(token="")


@pytest.mark.parametrize("port", [-1, 0, 70000])
def test_a_port_that_is_none_is_refused(port, course, monkeypatch):
    monkeypatch.chdir(course)
    result = CliRunner().invoke(command_line, ["lab", "--no-browser", "--port", str(port)])
    assert result.exit_code == 1 and result.output == f"Error: port {port} is none: " + (
        "use a whole number from 1 to 65535, or leave it out.\n"
    )


def test_a_port_in_use_is_refused(course, monkeypatch):
    monkeypatch.chdir(course)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command_line, ["lab", "--no-browser", "--port", str(port)])
    assert result.exit_code == 1 and result.output.startswith(f"Error: port {port}: ")
    assert "Name another one" in result.output and result.output.count("\n") == 1


def status(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status, answer.url, answer.headers
    except urllib.error.HTTPError as answer:
        return answer.status, answer.url, answer.headers


# A configuration that opens JupyterLab to everyone, in every name that Jupyter has had for it.
OPEN_TO_EVERYONE = """
c = get_config()
for app in (c.ServerApp, c.NotebookApp, c.LabApp):
    app.token = app.password = ""
    app.ip, app.allow_origin = "0.0.0.0", "*"
    app.disable_check_xsrf = app.allow_remote_access = app.allow_credentials = True
for section in (c.IdentityProvider, c.PasswordIdentityProvider, c.ServerApp.PasswordIdentityProvider):
    section.token = ""
c.ServerApp.tornado_settings = {"headers": {"Access-Control-Allow-Origin": "*"}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(address, folder of Jupyter's own files) of a running `lab`, with the worst configuration there is."""
    folder = tmp_path_factory.mktemp("lab")
    course = make_course(folder / "course")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(folder / name)
    (folder / "JUPYTER_CONFIG_DIR").mkdir()
    for name in ("jupyter_server_config.py", "jupyter_lab_config.py"):
        (folder / "JUPYTER_CONFIG_DIR" / name).write_text(OPEN_TO_EVERYONE)
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "neuromfa_lite", "lab", "--no-browser"]
        options = {"stdout": output, "stderr": subprocess.STDOUT, "umask": 0o022}
        server = subprocess.Popen(command, cwd=course, env=environment, **options)
    try:
        deadline = time.monotonic() + 90
        while not (found := re.search(r"^JupyterLab: (\S+)", log.read_text(), re.MULTILINE)):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[1], folder / "JUPYTER_RUNTIME_DIR"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


@on_posix
def test_lab_prints_an_address_that_opens_the_first_notebook(lab):
    address, _ = lab
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/lab/tree/notebooks/00_start_here\.ipynb\?token=\w{20,}", address)
    assert status(address)[0] == 200
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert launch.ANNOUNCEMENTS in answer.read().decode()  # among the extensions switched off
    content = address.replace("/lab/tree/", "/api/contents/")
    assert status(content)[0] == 200
    assert "/login" in status(address.split("?")[0])[1]  # without the token: the door is shut


@on_posix
def test_no_configuration_opens_lab_to_others(lab):
    address, runtime = lab
    origin = address.split("/lab/")[0]
    content, token = f"{origin}/api/contents", address.split("token=")[-1]
    assert status(content)[0] == status(f"{content}?token=")[0] == status(content, Authorization="token ")[0] == 403
    code, _, headers = status(content, Authorization=f"token {token}", Origin="http://elsewhere")
    assert code == 200 and headers["Access-Control-Allow-Origin"] == origin  # theirs is another one
    assert headers["Access-Control-Allow-Credentials"] is None
    assert status(content, Authorization=f"token {token}", Host="elsewhere")[0] == 403
    with pytest.raises(ConnectionRefusedError):  # of another address of this machine
        socket.create_connection(("127.0.0.2", int(origin.split(":")[-1])), timeout=10)
    holds_token = [path for path in runtime.iterdir() if token in path.read_text()]
    assert {path.suffix for path in holds_token} == {".json", ".html"}
    assert {path.stat().st_mode & 0o777 for path in holds_token} == {0o600}


# --- the wheel ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel_folder(tmp_path_factory):
    """The wheel, built from the clone and unpacked by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    quiet = {"check": True, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, **quiet)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"neuromfa_lite-{neuromfa_lite.__version__}-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder / "site")]
    subprocess.run([*pip, str(wheel)], **quiet)
    return folder / "site"


def outside(site, code, tmp_path, **environment):
    """Run code by a Python that sees the wheel and the dependencies, but neither the clone nor any .pth file."""
    path = os.pathsep.join([str(site), SITE_PACKAGES])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


FOLLOW = """
import json, neuromfa_lite as nmfa
run = nmfa.load_run("induction")
history = nmfa.follow(run, samples=2, neurons_per_layer=16)
table = history.summary()
print(json.dumps({"file": nmfa.__file__, "steps": [int(s) for s in table["step"]],
                  "emergence": float(table["emergence"].iloc[-1]), "copy": float(table["copy_accuracy"].iloc[-1])}))
"""

ANALYZE = """
import json, neuromfa_lite as nmfa
network = nmfa.load_network(nmfa.load_run("induction").checkpoint(724))
print(json.dumps({"file": nmfa.__file__, "alpha0": nmfa.analyze(network.sample(16, seed=0)).alpha0}))
"""


@pytest.mark.install
def test_the_wheel_holds_the_runs_and_works_outside_the_clone(wheel_folder, tmp_path):
    kept = {path.relative_to(ROOT / "neuromfa_lite") for path in (ROOT / "neuromfa_lite/laboratory/data").rglob("*.*")}
    assert kept == {p.relative_to(wheel_folder / "neuromfa_lite") for p in wheel_folder.rglob("laboratory/data/**/*.*")}
    assert (wheel_folder / "neuromfa_lite/laboratory/tasks/python_text.json").is_file()
    result = outside(wheel_folder, FOLLOW, tmp_path)
    assert Path(result["file"]).is_relative_to(wheel_folder)
    here = neuromfa_lite.follow(neuromfa_lite.load_run("induction"), samples=2, neurons_per_layer=16).summary()
    assert result["steps"] == list(here["step"]) and result["steps"][-1] == 724
    assert result["emergence"] == pytest.approx(here["emergence"].iloc[-1], rel=1e-12)
    assert result["copy"] == here["copy_accuracy"].iloc[-1]


@pytest.mark.install
def test_the_licences_travel_in_the_wheel(wheel_folder):
    (licences,) = wheel_folder.glob("*.dist-info/licenses")
    found = {path.relative_to(licences).as_posix(): path.read_text() for path in licences.rglob("*") if path.is_file()}
    assert found == {name: (ROOT / name).read_text() for name in PROJECT["license-files"]}
    pythons = "neuromfa_lite/laboratory/tasks/python_text.LICENSE.txt"
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in found[pythons]
    assert (wheel_folder / pythons).is_file()


@pytest.mark.install
def test_the_command_is_installed(wheel_folder):
    (entry,) = wheel_folder.glob("*.dist-info/entry_points.txt")
    assert "neuromfa-lite = neuromfa_lite.cli:main" in entry.read_text()


@pytest.mark.install
def test_a_read_only_package_without_a_writable_home_still_analyzes(wheel_folder, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(wheel_folder, site, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in {path.parent for path in site.rglob("neuromfa_lite/**/*.py")}:
        (folder / "__pycache__").write_text("a file, so that not even root can make the folder")
        folder.chmod(0o555)
    result = outside(site, ANALYZE, tmp_path, HOME="/dev/null", XDG_CACHE_HOME="/dev/null", TMPDIR=str(tmp_path))
    assert Path(result["file"]).is_relative_to(site)
    network = neuromfa_lite.load_network(neuromfa_lite.load_run("induction").checkpoint(724))
    assert result["alpha0"] == pytest.approx(neuromfa_lite.analyze(network.sample(16, seed=0)).alpha0, rel=1e-12)
