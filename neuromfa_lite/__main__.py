"""`python -m neuromfa_lite ...`: the command line, also from a fresh clone, before anything is installed.

Only the standard library is used until the dependencies are known to be there.
"""

import importlib.metadata
import os
import runpy
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
SETUP_SCRIPT = CLONE / "scripts" / "setup_environment.py"
# The names of pyproject.toml's dependencies (a test compares).
NEEDED = (
    "numpy",
    "numba",
    "pandas",
    "safetensors",
    "huggingface_hub",
    "tqdm",
    "click",
    "matplotlib",
    "networkx",
    "pillow",
    "ipywidgets",
    "jupyterlab",
    "ipykernel",
)


def missing_dependencies():
    """The needed packages that this Python does not have.

    >>> missing_dependencies()
    []
    """
    return [name for name in NEEDED if not _installed(name)]


def _installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def environment_of_clone(arguments):
    """The Python of the clone's own environment, which the command `lab` makes; None where it is not ready."""
    setup = runpy.run_path(str(SETUP_SCRIPT))
    if arguments[:1] == ["lab"]:
        failed = setup["main"]()
        if failed:
            sys.exit(failed)
    return setup["venv_python"](CLONE) if setup["is_current"](CLONE) else None


def go_on_in(python, arguments):
    command = [str(python), "-m", "neuromfa_lite", *arguments]
    if os.name == "nt":  # there exec returns to the shell at once
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)


def main():
    missing = missing_dependencies()
    if missing:
        lacks = f"neuromfa_lite: {sys.executable} lacks {', '.join(missing)}."
        if not SETUP_SCRIPT.is_file():
            sys.exit(f"{lacks}\n`{sys.executable} -m pip install {' '.join(missing)}` adds them.")
        if Path(sys.prefix).resolve() == (CLONE / ".venv").resolve():
            sys.exit(f"{lacks}\nThe environment is damaged: delete {CLONE / '.venv'} and give `make lab` again.")
        python = environment_of_clone(sys.argv[1:])
        if python is None:
            sys.exit(f"{lacks}\n`make lab` or `python3 -m neuromfa_lite lab` in {CLONE} installs them into .venv.")
        go_on_in(python, sys.argv[1:])
    from neuromfa_lite.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
