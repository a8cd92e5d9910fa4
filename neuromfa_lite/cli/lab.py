"""Open the course in JupyterLab, on this machine only and behind a token."""

import os
import secrets
import socket
import sys
import webbrowser
from pathlib import Path

from ..errors import NeuroMFAError

START = Path("notebooks") / "00_start_here.ipynb"
# Asks every newcomer about Jupyter news, over the notebook, and looks for updates on the internet.
ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"


def find_course():
    """The folder that holds `notebooks/`: the current one or the package's clone."""
    places = Path.cwd(), Path(__file__).resolve().parents[2]
    for place in places:
        if (place / START).is_file():
            return place.resolve()
    raise NeuroMFAError(
        f"{START} is neither in {places[0]} nor in {places[1]}: git clone the repository, whose notebooks no installed "
        "package holds, and give the same command in its folder"
    )


def has_browser():
    """Whether a browser can open a window here: not in a container, nor over a plain remote shell."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def lab_arguments(course, port=None, browser=False):
    """What JupyterLab is told; it takes a free port itself where none is given."""
    arguments = [
        f"--ServerApp.root_dir={course}",
        f"--LabApp.default_url=/lab/tree/{START.as_posix()}",
        f"--ServerApp.open_browser={bool(browser)}",
        f"--ExtensionApp.open_browser={bool(browser)}",
        "--Application.log_level=WARN",
    ]
    if port is not None:
        arguments += [f"--ServerApp.port={int(port)}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # containers
        arguments.append("--allow-root")
    return arguments


def _without_announcements(handler, page_config):
    """JupyterLab's hook for the settings of a page."""
    page_config["disabledExtensions"] = [*page_config.get("disabledExtensions", []), ANNOUNCEMENTS]
    return page_config


def _closed_server(token):
    """The class of Jupyter's server that lets nobody in without the token, whatever its configuration says."""
    from jupyter_server.auth.identity import PasswordIdentityProvider
    from jupyter_server.auth.login import LoginFormHandler
    from jupyter_server.serverapp import ServerApp

    class ClosedServer(ServerApp):
        def init_configurables(self):  # the first thing after all configuration, which overrules any argument
            self.ip, self.sock, self.file_to_run = "127.0.0.1", "", ""
            self.allow_remote_access, self.local_hostnames = False, ["localhost"]
            self.allow_origin_pat, self.allow_credentials = "", False
            self.disable_check_xsrf, self.tornado_settings = False, {}
            self.use_redirect_file = True  # else the token stands in the browser's command line, for everybody to list
            super().init_configurables()
            door = PasswordIdentityProvider(parent=self, log=self.log)
            door.token, door.hashed_password, door.password_required = token, "", False
            door.login_handler_class = LoginFormHandler
            self.identity_provider = self.authorizer.identity_provider = door

        def init_httpserver(self):
            super().init_httpserver()
            # Where none is named, Jupyter allows every origin that sends the token.
            self.web_app.settings["allow_origin"] = self.connection_url.removesuffix(self.base_url)

        def write_browser_open_file(self):
            Path(self.browser_open_file).unlink(missing_ok=True)
            os.close(os.open(self.browser_open_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            super().write_browser_open_file()

    return ClosedServer


def launch_lab(port=None, browser=True):
    """Open the first notebook in JupyterLab, in a browser where there is one, and stay until Ctrl-C."""
    course = find_course()
    try:
        socket.create_server(("127.0.0.1", port or 0)).close()
    except OSError as error:
        raise NeuroMFAError(f"port {port}: {error.strerror}. Name another one, or leave it out.") from error
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise NeuroMFAError(f"JupyterLab cannot be imported ({error}): `make lab` installs it.") from error
    LabApp.serverapp_class = _closed_server(secrets.token_hex(24))
    try:
        server = LabApp.initialize_server(argv=lab_arguments(course, port, browser and has_browser()))
    except SystemExit as stopped:
        raise NeuroMFAError("JupyterLab did not start; its message stands above.") from stopped
    server.web_app.settings["page_config_hook"] = _without_announcements
    page = f"{server.connection_url}lab/tree/{START.as_posix()}"
    print(f"JupyterLab: {page}?token={server.identity_provider.token}", flush=True)
    print("Open this address in a browser on this machine. Ctrl-C here stops JupyterLab.", flush=True)
    server.start()
