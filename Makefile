# Two commands for a newcomer: `make demo` and `make test`. Each sets up all it needs.
# Needs Python 3.11 or newer (PYTHON=… to choose one) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: install demo test test-peers test-slow bench docs check format clean help

help:
	@echo "make demo      the whole road on a demo collection, ending in three searches"
	@echo "make test      the whole suite"
	@echo "make test-peers every family against the libraries that define the formats"
	@echo "make docs      the documentation as a site, build/site/index.html"
	@echo "make check     format, lint, types, import contracts, links of the documentation"
	@echo "make install   .venv with the package and its development tools"
	@echo "make test-slow the tests that take minutes"
	@echo "make bench     times and memory beside their rivals (ROWS=name for some of them)"
	@echo "make format    rewrite the code in the house format"
	@echo "make clean     remove .venv and caches"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; choose one with PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --no-compile --constraint constraints.txt \
	  --editable ".[dev]"
	@touch $@

demo: install
	$(BIN)/lorajax demo configs/base.yaml

# One BLAS thread: its threads and XLA's hinder each other.
test: export OPENBLAS_NUM_THREADS := 1
# Most of what JAX does in a test is compiling: a third less of it, for the same results
# up to rounding.
test: export XLA_FLAGS := --xla_backend_optimization_level=0
# What is installed has no bytecode yet: the first process to read it keeps it.
test: export PYTHONDONTWRITEBYTECODE :=
test: install
	$(BIN)/python -m pytest -n auto --dist loadfile

# The libraries that define the formats want torch, which lorajax does not: they get an
# environment of their own, and lorajax is read from this folder.
PEERS := .venv-peers
PEER_TESTS := tests/peers

$(PEERS)/.installed: $(PEER_TESTS)/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -qq --requirement $<
	@touch $@

# Nothing is fetched while the tests run: the models are made up.
test-peers: export HF_HUB_OFFLINE := 1
test-peers: export PYTHONPATH := .
test-peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest -c $(PEER_TESTS)/pytest.ini --rootdir . \
	  --confcutdir $(PEER_TESTS) $(PEER_TESTS)

test-slow: install
	$(BIN)/python -m pytest -m slow

# Writes benchmarks/results.json, benchmarks/machine.json and the tables of
# docs/performance.md. ROWS is what pytest calls -k.
bench: install
	$(BIN)/python -m pytest benchmarks $(if $(ROWS),-k "$(ROWS)")
	$(BIN)/python -m benchmarks.table --write

# Nothing is fetched while the site is built or read. A broken link is an error.
docs: export NO_MKDOCS_2_WARNING := 1
docs: install
	$(BIN)/mkdocs build --strict --quiet

check: install docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(PEERS) build .cache .pytest_cache .ruff_cache .import_linter_cache
