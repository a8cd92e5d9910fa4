"""From a fresh clone to a running package: make and its stamp, JupyterLab, the wheel."""

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

import pytest
from click.testing import CliRunner

import neuromfa_lite
from neuromfa_lite.cli import lab as launch
from neuromfa_lite.cli.commands import main as command_line
from neuromfa_lite.errors import NeuroMFAError

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SITE_PACKAGES = sysconfig.get_path("purelib")
on_posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in for an interpreter is a shell script")


# --- make ------------------------------------------------------------------------------------------------------

# Stands for an interpreter: keeps what it was asked, makes an "environment" with itself in it, and installs nothing.
STAND_IN = """#!/bin/sh
echo "$*" >> asked
case "$*" in
    *"-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-m pip"*) test ! -e no-network ;;
    *ensurepip*) test ! -e no-ensurepip ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "python").write_text(STAND_IN)
    (folder / "python").chmod(0o755)
    return folder


def make(folder, python="./python"):
    """What `make setup` ends with and says; how often an environment was made and filled so far."""
    done = subprocess.run(["make", "setup", f"PYTHON={python}"], cwd=folder, capture_output=True, text=True, timeout=60)
    asked = (folder / "asked").read_text() if (folder / "asked").exists() else ""
    return done, asked.count("-m venv"), asked.count("pip install")


@on_posix
@pytest.mark.parametrize("change", ["pyproject.toml", "constraints.txt", "moved", "no python"])
def test_an_environment_is_filled_once_and_again_where_something_changed(clone, tmp_path, change):
    assert make(clone)[1:] == (1, 1) and make(clone)[1:] == (1, 1)
    if change == "moved":
        clone = clone.rename(tmp_path / "elsewhere")
    elif change == "no python":
        (clone / ".venv/bin/python").unlink()
    else:
        later = time.time() + 5
        os.utime(clone / change, (later, later))
    assert make(clone)[1:] == (2 if change == "no python" else 1, 2)


@on_posix
def test_an_installation_that_fails_is_tried_again(clone):
    (clone / "no-network").touch()
    done = make(clone)[0]
    assert done.returncode and "the same command tries again" in done.stderr
    (clone / "no-network").unlink()
    assert make(clone)[0].returncode == 0 and make(clone)[1:] == (1, 2)


@on_posix
def test_a_python_that_is_too_old_or_makes_no_environment_is_told_so(clone):
    (clone / "no-ensurepip").touch()
    done = make(clone)[0]
    assert done.returncode and "apt-get install python3-venv" in done.stderr and not (clone / ".venv").exists()
    makefile = (clone / "Makefile").read_text()
    (clone / "Makefile").write_text(makefile.replace("OLDEST := 3, 11", "OLDEST := 9, 1"))
    done = make(clone, sys.executable)[0]
    assert done.returncode and f"needs Python 9.1 or newer; {sys.executable} is 3." in done.stderr


def test_without_dependencies_the_way_out_is_named(tmp_path):
    """By a Python that sees no installed package at all."""
    command, bare = [sys.executable, "-S", "-m", "neuromfa_lite", "runs"], {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=bare)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "lacks " in done.stderr and "make lab" in done.stderr and "pip install ." in done.stderr


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "__file__", str(course / "neuromfa_lite" / "cli" / "lab.py"))
    assert launch.find_course() == course
    monkeypatch.setattr(launch, "__file__", str(tmp_path / "site-packages" / "neuromfa_lite" / "cli" / "lab.py"))
    with pytest.raises(NeuroMFAError, match="git clone"):
        launch.find_course()


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_allow_root_only_for_root(user, allowed, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in launch.lab_arguments(Path("course"))) is allowed


def test_no_browser_without_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not launch.has_browser()


@pytest.mark.parametrize("port", [-1, 0, 70000])
def test_a_port_that_is_none_is_refused(port, course, monkeypatch):
    monkeypatch.chdir(course)
    result = CliRunner().invoke(command_line, ["lab", "--no-browser", "--port", str(port)])
    assert result.exit_code == 2 and f"{port} is not in the range 1<=x<=65535" in result.output


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
    assert "neuromfa-lite = neuromfa_lite.cli.commands:main" in entry.read_text()


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
