"""Make the clone's environment: `.venv` with the package and everything it needs, once; then answer at once.

Standard library only, and no syntax newer than Python 3.7: an old Python gets a sentence, not a SyntaxError.
`make` and `python -m neuromfa_lite lab` both come here. A stamp in `.venv`, written only after success, holds
a hash of pyproject.toml and constraints.txt: as long as it agrees nothing is installed again.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
# Tried when the Python that runs this is too old; a newer one often stands beside it.
OTHER_PYTHONS = ("python3.13", "python3.12", "python3.11")
EXTRAS = "train,test"
STAMPED = ("pyproject.toml", "constraints.txt")
STAMP = "neuromfa_lite.stamp"


class SetupError(Exception):
    """The environment cannot be made; the message says why and the way out."""


def venv_folder(root):
    return Path(root) / ".venv"


def venv_python(root):
    folder = venv_folder(root)
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def fingerprint(root):
    """What an installation depends on; the folder too, because the installed package points to it."""
    digest = hashlib.sha256()
    for name in STAMPED:
        path = Path(root) / name
        if not path.is_file():
            raise SetupError(f"{path} is missing: run this in a complete clone of neuromfa_lite.")
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(f"{EXTRAS}|{venv_folder(root).resolve()}".encode())
    return digest.hexdigest()


def is_current(root):
    stamp = venv_folder(root) / STAMP
    try:
        return venv_python(root).exists() and stamp.read_text().strip() == fingerprint(root)
    except OSError:
        return False


def answers(command, run=subprocess.run):
    """What a short command prints, or None where it fails."""
    try:
        done = run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def version_of(python, modules="", run=subprocess.run):
    """(major, minor) of an interpreter that can import `modules`; None where it cannot, or does not run."""
    text = answers([str(python), "-c", f"import sys{modules}; print(*sys.version_info[:2])"], run)
    return tuple(int(part) for part in text.split()) if text else None


def find_python(run=subprocess.run):
    """An interpreter of at least Python 3.11: this one, or one that stands beside it."""
    if sys.version_info[:2] >= OLDEST:
        return sys.executable
    for name in OTHER_PYTHONS:
        found = shutil.which(name)
        if found and (version_of(found, run=run) or (0, 0)) >= OLDEST:
            return found
    raise SetupError(
        "neuromfa_lite needs Python {}.{} or newer; this is Python {}.{} ({}), and none of {} is there.\n"
        "Install a newer Python and name it: make lab PYTHON=/path/to/python3.12".format(
            *OLDEST, *sys.version_info[:2], sys.executable, ", ".join(OTHER_PYTHONS)
        )
    )


def create(root, run=subprocess.run):
    """Make .venv, unless a usable one (new enough, with pip) is there."""
    if (version_of(venv_python(root), ", pip", run) or (0, 0)) >= OLDEST:
        return
    python = find_python(run)
    if version_of(python, ", venv, ensurepip", run) is None:
        major, minor = version_of(python, run=run) or OLDEST
        raise SetupError(
            f"{python} cannot make a virtual environment: its module venv or ensurepip is missing.\n"
            f"On Debian and Ubuntu: apt-get install python{major}.{minor}-venv\n"
            "Elsewhere: install the full Python, with both."
        )
    say(f"Making .venv with {python}")
    if run([str(python), "-m", "venv", "--clear", str(venv_folder(root))]).returncode != 0:
        shutil.rmtree(str(venv_folder(root)), ignore_errors=True)
        raise SetupError(f"{python} could not make {venv_folder(root)}: see its message above.")


def install(root, run=subprocess.run):
    """Install the package (editable: the clone's own files are what runs) with its pinned dependencies."""
    say("Installing neuromfa_lite and its dependencies into .venv; the first time this takes some minutes.")
    command = [str(venv_python(root)), "-m", "pip", "install", "--disable-pip-version-check"]
    done = run([*command, "-c", "constraints.txt", "-e", f".[{EXTRAS}]"], cwd=str(root))
    if done.returncode != 0:
        raise SetupError(
            "pip could not install the dependencies: see its message above.\n"
            "Nothing is marked as done, so the same command tries again and keeps what was downloaded."
        )


def write_stamp(root, text):
    stamp = venv_folder(root) / STAMP
    temporary = stamp.with_name(stamp.name + ".new")
    temporary.write_text(text + "\n")
    os.replace(str(temporary), str(stamp))


def ensure(root=ROOT, run=subprocess.run):
    """The interpreter of an environment that agrees with pyproject.toml and constraints.txt."""
    if not is_current(root):
        wanted = fingerprint(root)
        create(root, run)
        stamp = venv_folder(root) / STAMP
        if stamp.exists():
            stamp.unlink()
        install(root, run)
        write_stamp(root, wanted)
        say("The environment is ready.")
    return venv_python(root)


def say(text):
    print(text, flush=True)


def main():
    try:
        ensure()
    except SetupError as error:
        sys.stdout.flush()
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the same command goes on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
