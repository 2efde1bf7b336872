# Two commands do everything: `make demo` and `make test`. Each makes the environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo setup check test test-all docs bench bench-all clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

# Pre-train on the built-in pictures, evaluate, write a report, say in one line how it went.
demo: $(VENV)/.installed
	$(BIN)/unlabel pretrain simclr --data shapes

setup: $(VENV)/.developer

# Lint, format, types, and the contract on which room may import which.
# No cache: ruff sorts an import by which files exist, and its cache does not notice that one was added.
check: setup
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A process for each core, four at most: each loads torch.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile

test: setup
	$(BIN)/pytest $(PARALLEL)

test-all: setup
	$(BIN)/pytest $(PARALLEL) -m 'slow or not slow'

# The documentation: once it is installed, building asks no network; a warning or a link that leads nowhere ends the build.
$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

# Speed, beside other libraries. The quick pass takes less than ten minutes; the whole writes docs/speed.md.
$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/all.py --quick

bench-all: $(VENV)/.bench
	$(BIN)/python benchmarks/all.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
