# `make lab` and `make test` are all most people need; both make .venv first.
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
# The installed package points to this folder: a clone that was moved has another stamp and installs again.
STAMP := .venv/stamp-$(shell printf %s "$(CURDIR)" | cksum | cut -d ' ' -f 1)
OLDEST := 3, 11
CACHES := .pytest_cache .ruff_cache .hypothesis build dist outputs test-results
OTHER_PYTHONS := 3.12 3.13

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-pythons test-all mutants notebooks scorecard lint bench clean

help:
	@echo "make lab        open JupyterLab at notebooks/00_start_here.ipynb"
	@echo "make test       style, unit tests, notebooks"
	@echo "make test-pythons the small tests on Python $(OTHER_PYTHONS), those that are found"
	@echo "make test-all   make test, then the browser, the retraining and the mutants"
	@echo "make mutants    one number after another spoiled: the checks must notice each"
	@echo "make notebooks  execute every notebook and store it with its pictures"
	@echo "make scorecard  compute the shipped scorecard anew (some minutes), its table and picture in docs/"
	@echo "make lint       ruff"
	@echo "make bench      the timings of benchmarks/"
	@echo "make clean      delete caches and built files (.venv stays)"
	@echo "PYTHON=python3.12 in front of any of them chooses the Python of .venv"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(VENV_PYTHON)
	@echo "Installing neuromfa_lite and its dependencies into .venv; the first time this takes some minutes."
	@rm -f .venv/stamp-*
	@$(VENV_PYTHON) -m pip install --disable-pip-version-check -c constraints.txt -e ".[train,test]" || \
		{ echo "pip could not install everything, see above; the same command tries again." >&2; exit 1; }
	@touch $@

$(VENV_PYTHON):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= ($(OLDEST)) else "neuromfa_lite needs Python %s.%s or \
	newer; %s is %d.%d. Name another one: make lab PYTHON=/path/to/python3.12" % ($(OLDEST), sys.executable, v[0], v[1]))'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks venv or ensurepip, so it makes no virtual \
	environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv

lab: setup
	@$(VENV_PYTHON) -m neuromfa_lite lab

lint: setup
	$(VENV_PYTHON) -m ruff check .

# The second line runs the kernels as plain Python, the only way to see that every line of them is right.
test: lint
	NUMBA_DISABLE_JIT=1 $(VENV_PYTHON) -m pytest -q tests -m small
	$(VENV_PYTHON) -m pytest

# In environments of their own, without torch: the tests that need it are skipped. PYENV_VERSION is heard by pyenv only.
test-pythons:
	@for version in $(OTHER_PYTHONS); do \
		python=.venv-$$version/bin/python; export PYENV_VERSION=$$version; \
		if ! python$$version -c "" 2>/dev/null; then echo "Python $$version is not found: not tested."; continue; fi; \
		test -x $$python || python$$version -m venv .venv-$$version || exit 1; \
		$$python -m pip install -q -c constraints.txt -e ".[test]" || exit 1; \
		echo "Python $$version"; $$python -m pytest -q tests -m small || exit 1; \
	done

test-all: test
	$(VENV_PYTHON) -m pytest tests -m "browser or retraining or mutants"

mutants: setup
	$(VENV_PYTHON) -m pytest tests -m mutants

notebooks: setup
	$(VENV_PYTHON) scripts/notebooks.py

scorecard: setup
	$(VENV_PYTHON) -m neuromfa_lite scorecard --shipped --picture docs/scorecard.png > docs/.scorecard.new
	mv docs/.scorecard.new docs/scorecard.txt

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(VENV_PYTHON) "$$script" || exit 1; done

clean:
	rm -rf $(CACHES)
	find . -path './.venv*' -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
