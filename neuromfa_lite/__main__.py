"""`python -m neuromfa_lite ...`: the command line, or in words what is missing for it."""

import sys


def main():
    try:
        from neuromfa_lite.cli.commands import main as command_line
    except ModuleNotFoundError as error:
        sys.exit(
            f"neuromfa_lite: {sys.executable} lacks {error.name}. In a clone `make lab` installs all into .venv; "
            f"without make: {sys.executable} -m pip install ."
        )
    command_line()


if __name__ == "__main__":
    main()
