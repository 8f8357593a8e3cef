# make demo and make test set up .venv on a fresh machine; nothing is installed again until requirements.lock changes.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python run.py

.PHONY: help demo test test-lowest lint format install clean
.NOTPARALLEL:

help:
	@echo "make demo    sample competition, training, blend, submission, its grade and a report (runs/docstrings)"
	@echo "make test    ruff, mypy and pytest"
	@echo "make test-lowest  a part of pytest with the oldest versions (.venv-lowest, over .venv)"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff rewrite what it can"
	@echo "make clean   remove .venv and the caches; data/ and runs/ stay"

demo: install
	@$(RUN) sample
	@$(RUN) train
	@$(RUN) blend
	@$(RUN) submit
	@$(RUN) grade --solution data/docstrings/solution.csv
	@$(RUN) report

# A file of tests stays in one process, with what its tests share; more than four processes would wait for the longest.
test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What touches every import and every verb, with the versions of requirements-lowest.lock. Torch is that of .venv, newer
# than those versions know, so they use what it calls deprecated.
LOWEST := tests/folds tests/submissions tests/models/encoder/test_families.py tests/models/encoder/test_conversion.py \
  tests/models/training/test_fit.py tests/oof/metrics tests/oof/members \
  tests/pipeline/config tests/pipeline/data tests/pipeline/test_verbs.py tests/pipeline/commands/test_compare.py \
  tests/pipeline/commands/test_report.py::test_every_task_gives_a_complete_page_that_loads_nothing

test-lowest: install
	@cmp -s requirements-lowest.lock .venv-lowest/installed.lock || { \
	  echo "Installing requirements-lowest.lock into .venv-lowest"; \
	  rm -rf .venv-lowest && $(BIN)/python -m venv .venv-lowest && \
	  $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	    "$$(.venv-lowest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/locked.pth" && \
	  .venv-lowest/bin/python -m pip install --quiet --no-deps --no-input --disable-pip-version-check \
	    --progress-bar off -r requirements-lowest.lock && \
	  cp requirements-lowest.lock .venv-lowest/installed.lock; }
	@OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile \
	  -W ignore::DeprecationWarning $(LOWEST)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The copy of the lock is written last, so that an interrupted installation is taken up again.
install:
	@cmp -s requirements.lock .venv/installed.lock || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Poolblend needs Python 3.11 or later, but $(PYTHON) is older or missing: choose one with PYTHON=python3.12" >&2; exit 1; }; \
	  echo "Installing requirements.lock into .venv"; \
	  test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --progress-bar off -r requirements.lock && \
	  cp requirements.lock .venv/installed.lock; }

clean:
	rm -rf .venv .venv-lowest .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
