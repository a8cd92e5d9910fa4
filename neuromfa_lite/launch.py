"""Open the course in JupyterLab, on this machine only and behind a token."""

import os
import sys
import webbrowser
from pathlib import Path

from .errors import NeuroMFAError

START = Path("notebooks") / "00_start_here.ipynb"
# Asks every newcomer about Jupyter news, over the notebook, and looks for updates on the internet.
ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"


def find_course(folder=None):
    """Return the folder that holds `notebooks/`: `folder` (default: the current one) or the package's clone.

    Raises NeuroMFAError where neither has the notebooks: an installed package does not carry them.
    """
    places = [Path.cwd() if folder is None else Path(folder), Path(__file__).resolve().parent.parent]
    for place in places:
        if (place / START).is_file():
            return place.resolve()
    raise NeuroMFAError(
        f"{START} is neither in {places[0]} nor in {places[1]}: the installed package holds no notebooks. "
        "Get the repository (git clone, or its archive) and give the same command in its folder."
    )


def has_browser():
    """Return whether a browser can open a window here: not in a container, nor over a plain remote shell."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def lab_arguments(course, port=None, token=None, browser=False):
    """Return what JupyterLab is told; it makes a token and takes a free port itself where none is given.

    >>> arguments = lab_arguments(Path("course"), port=9000)
    >>> "--ServerApp.ip=127.0.0.1" in arguments, "--ServerApp.port=9000" in arguments
    (True, True)
    """
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={course}",
        f"--LabApp.default_url=/lab/tree/{START.as_posix()}",
        f"--ServerApp.open_browser={bool(browser)}",
        f"--ExtensionApp.open_browser={bool(browser)}",
        "--Application.log_level=WARN",
    ]
    if port is not None:
        arguments += [f"--ServerApp.port={int(port)}", "--ServerApp.port_retries=0"]
    if token is not None:
        arguments.append(f"--IdentityProvider.token={token}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # containers
        arguments.append("--allow-root")
    return arguments


def _without_announcements(handler, page_config):
    """JupyterLab's hook for the settings of a page."""
    page_config["disabledExtensions"] = [*page_config.get("disabledExtensions", []), ANNOUNCEMENTS]
    return page_config


def launch_lab(port=None, token=None, browser=None):
    """Open notebooks/00_start_here.ipynb in JupyterLab on 127.0.0.1, and stay until it is stopped (Ctrl-C).

    Args:
        port: a free port; None for the first free one from 8888.
        token: the secret in the address; None for a fresh one.
        browser: whether to open a window; None to open one where that is possible.

    The full address is printed in any case.

    Raises:
        NeuroMFAError: the notebooks or JupyterLab are missing, the token is empty, or the port is not free.
    """
    course = find_course()
    if token == "":
        raise NeuroMFAError("token is empty, which lets everybody on this machine in: leave it out.")
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise NeuroMFAError(f"JupyterLab cannot be imported ({error}): `make lab` installs it.") from error
    if browser is None:
        browser = has_browser()
    try:
        server = LabApp.initialize_server(argv=lab_arguments(course, port, token, browser))
    except SystemExit as stopped:
        guess = "no port from 8888 on is free?" if port is None else f"is port {port} in use? Name another."
        raise NeuroMFAError(f"JupyterLab did not start; its message stands above ({guess})") from stopped
    server.web_app.settings["page_config_hook"] = _without_announcements
    page = f"http://127.0.0.1:{server.port}/lab/tree/{START.as_posix()}"
    print(f"JupyterLab: {page}?token={server.identity_provider.token}", flush=True)
    print("Open this address in a browser on this machine. Ctrl-C here stops JupyterLab.", flush=True)
    server.start()
