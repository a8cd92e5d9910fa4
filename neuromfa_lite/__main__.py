"""`python -m neuromfa_lite ...`: the command line, also from a fresh clone, before anything is installed.

Only the standard library is used until the dependencies are known to be there.
"""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
SETUP_SCRIPT = CLONE / "scripts" / "setup_environment.py"
# The import names of pyproject.toml's dependencies (a test compares).
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
    "ipywidgets",
    "jupyterlab",
    "ipykernel",
)


def missing_dependencies():
    """The needed packages that this Python does not have.

    >>> missing_dependencies()
    []
    """
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def environment_of_clone(arguments):
    """The Python of the clone's own environment, which the command `lab` makes; None where there is none."""
    if not SETUP_SCRIPT.is_file():
        return None
    setup = runpy.run_path(str(SETUP_SCRIPT))
    python = setup["venv_python"](CLONE)
    if Path(sys.prefix).resolve() == setup["venv_folder"](CLONE).resolve():
        return None
    if setup["is_current"](CLONE) or (arguments[:1] == ["lab"] and setup["main"]() == 0):
        return python
    return None


def go_on_in(python, arguments):
    command = [str(python), "-m", "neuromfa_lite", *arguments]
    if os.name == "nt":  # there exec returns to the shell at once
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)


def main():
    missing = missing_dependencies()
    if missing:
        python = environment_of_clone(sys.argv[1:])
        if python is not None:
            go_on_in(python, sys.argv[1:])
        if SETUP_SCRIPT.is_file():
            way_out = f"`make lab` or `python3 -m neuromfa_lite lab` in {CLONE} installs them into .venv."
        else:
            way_out = f"`{sys.executable} -m pip install {' '.join(missing)}` adds them."
        sys.exit(f"neuromfa_lite: {sys.executable} lacks {', '.join(missing)}.\n{way_out}")
    from neuromfa_lite.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
