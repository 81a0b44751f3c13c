# The README's two commands are `make demo` and `make test`; both share one .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One XLA thread and one test process per core, a file to each: its tests share what is compiled. A persistent compilation
# cache makes the second run quick.
TEST_ENV := JAX_PLATFORMS=cpu XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
WORKERS ?= auto

PEER := .venv-peer
PEER_STAMP := $(PEER)/.installed

.PHONY: help demo lessons test test-slow test-geant4 bench bench-tomography bench-pareto docs lint format dev clean check-python

help:           ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

demo: $(STAMP)  ## optimise a real silicon tracker (minutes)
	$(BIN)/detopt optimise studies/its2_upgrade.yaml

lessons: $(STAMP)  ## write the lessons as notebooks, to runs/lessons/notebooks
	$(BIN)/python studies/teaching/notebooks.py runs/lessons/notebooks

test: $(STAMP)  ## run the tests
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not benchmark and not geant4"

test-slow: $(STAMP)  ## run the long checks
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m slow

test-geant4: $(STAMP)  ## install Geant4's Python package and compare with it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[geant4]"
	$(TEST_ENV) $(BIN)/python -m pytest -m geant4

bench: $(STAMP)  ## measure what the README says about speed
	$(TEST_ENV) $(BIN)/python -m pytest -m benchmark -s

bench-tomography: $(STAMP) $(PEER_STAMP)  ## muon tomography against TomOpt, on one core (minutes)
	$(TEST_ENV) PYTHONPATH=. $(BIN)/python tests/benchmarks/tomography.py $(PEER)/bin/python --scaling

bench-pareto: $(STAMP)  ## the front of a tracker, exact and noisy, against NSGA-II and NSGA-III (half an hour; SEEDS=1: six minutes)
	$(TEST_ENV) PYTHONPATH=. $(BIN)/python tests/benchmarks/fronts.py $(SEEDS)
	$(TEST_ENV) PYTHONPATH=. $(BIN)/python tests/benchmarks/noisy_fronts.py $(SEEDS)

dev: $(STAMP)   ## add the developers' tools and the git hook
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	$(BIN)/pre-commit install

docs: $(STAMP)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 JAX_PLATFORMS=cpu $(BIN)/mkdocs build --quiet

lint: dev       ## what the git hook checks
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: dev     ## let ruff mend what it can
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

$(STAMP): pyproject.toml constraints.txt | check-python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@

# TomOpt is only run, in an environment of its own.
$(PEER_STAMP): | check-python
	@test -x $(PEER)/bin/python || $(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check tomopt torch==2.13.0 mypy_extensions "numpy<2" "pandas<2"
	@touch $@

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "detopt needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)."; \
	  echo "Install it (Debian, Ubuntu: apt install python3; macOS: brew install python) or say: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing: Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3-pip."; exit 1; }

clean:          ## remove the environment and the caches
	rm -rf $(VENV) $(PEER) .pytest_cache .ruff_cache .mypy_cache build dist
