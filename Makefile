# Two commands do everything on a fresh machine with Python >= 3.10:
#   make demo    fuse two volumes of a phantom patient
#   make test    style, types, import contract and tests
# `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
TORCH ?= torch==2.13.0
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs-installed
LABEL_PYTHON ?= $(PYTHON)
LABEL_VENV := .venv-label
LABEL_INSTALLED := $(LABEL_VENV)/.installed

# One thread per worker: otherwise every worker's tensor library takes all cores and they slow each other down.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1

.PHONY: help install demo test lint types contract unit docs label-env format bench clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## create .venv and install medfuse into it

demo: $(INSTALLED)  ## run the main job on a phantom patient
	@$(BIN)/medfuse demo --overwrite

test: lint types contract unit  ## everything that must pass

lint: $(INSTALLED)  ## style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)  ## static types
	@$(BIN)/mypy

contract: $(INSTALLED)  ## who may import whom
	@$(BIN)/lint-imports --no-logo

unit: $(INSTALLED)  ## tests, with at least 90 % of the lines covered
	@$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=5 \
	  --cov=medfuse --cov-report=term:skip-covered --cov-fail-under=90

docs: $(DOCS_INSTALLED)  ## build the pages into docs/_build/html
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

label-env: $(LABEL_INSTALLED)  ## create .venv-label with MONAI Label and medfuse

format: $(INSTALLED)  ## rewrite the sources in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(INSTALLED)  ## time the slow steps
	@$(BIN)/python tests/benchmarks/bench_steps.py

clean:  ## remove everything that can be made again, .venv included
	@rm -rf $(VENV) $(LABEL_VENV) build dist medfuse.egg-info docs/_build docs/reference/api docs/reference/cli.md demo_output
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage coverage.xml
	@find medfuse tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml setup.py $(wildcard medfuse/*/native/*.cpp medfuse/*/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "medfuse needs Python 3.10 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version > /dev/null || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "could not create $(VENV); on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "installing medfuse into $(VENV); PyTorch is large, the first time takes some minutes"
	@$(PIP) "$(TORCH)"
	@$(PIP) --editable ".[train,mlflow,dicom,baselines,bundles,onnx,test]"
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	@echo "installing the documentation tools into $(VENV)"
	@$(PIP) --editable ".[docs]"
	@touch $@

$(LABEL_INSTALLED): requirements/label.txt
	@$(LABEL_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
	  { echo "MONAI Label needs Python 3.11 or 3.12; name one: make label-env LABEL_PYTHON=python3.12"; exit 1; }
	@echo "installing MONAI Label into $(LABEL_VENV), apart from medfuse's own environment"
	@$(LABEL_PYTHON) -m venv --clear $(LABEL_VENV)
	@$(subst $(BIN),$(LABEL_VENV)/bin,$(PIP)) "$(TORCH)"
	@$(subst $(BIN),$(LABEL_VENV)/bin,$(PIP)) --no-deps --requirement requirements/label.txt
	@$(subst $(BIN),$(LABEL_VENV)/bin,$(PIP)) --no-deps --editable .
	@touch $@
