# make demo and make test set up .venv on a fresh machine; nothing is installed again until requirements.lock changes.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python run.py

.PHONY: help demo test lint format install clean
.NOTPARALLEL:

help:
	@echo "make demo    sample competition, training, blend, submission, its grade and a report (runs/docstrings)"
	@echo "make test    ruff, mypy and pytest"
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
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
