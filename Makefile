# `make run` and `make test` need nothing but make and Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests share the fetched base model with each other and with later runs of the tests.
TEST_MODELS := $(or $(OVERRULE_MODEL_CACHE),$(HOME)/.cache/overrule/models)

.DEFAULT_GOAL := help
.PHONY: help run test lint format clean bench-training bench-training-% bench-scoring

help:
	@echo "make run     start Overrule and print its address (PORT=8600 for another port)"
	@echo "make test    run all tests (TESTS=tests/backend/jobs for some of them)"
	@echo "make lint    style, types and the import rules"
	@echo "make format  put the style right"
	@echo "make bench-training  measure the trainer against its peers (BENCH='--batch 8' for options)"
	@echo "make bench-scoring   measure scoring beside generate and full forwards"
	@echo "make clean   remove the virtual environment and caches; your data stays"

run: $(VENV)/run.stamp
	@$(BIN)/overrule run $(if $(PORT),--port $(PORT))

test: $(VENV)/dev.stamp
	@OVERRULE_MODEL_CACHE="$(TEST_MODELS)" $(BIN)/overrule models pull default
	@OVERRULE_MODEL_CACHE="$(TEST_MODELS)" $(BIN)/pytest -n 2 --dist loadfile $(TESTS)

# Whether a name is of this project depends on other files, which ruff's cache does not look at.
lint: $(VENV)/dev.stamp
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers' environments are made when they are first needed, in the user's cache.
bench-training: bench-training-all

bench-training-%: $(VENV)/dev.stamp
	@OVERRULE_MODEL_CACHE="$(TEST_MODELS)" $(BIN)/python -m tests.benchmarks.training $* $(BENCH)

bench-scoring: $(VENV)/dev.stamp
	@OVERRULE_MODEL_CACHE="$(TEST_MODELS)" $(BIN)/python -m tests.benchmarks.scoring $(BENCH)

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps stand for what is installed, so that a second start installs nothing.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overrule needs Python 3.11 or newer; name one with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/run.stamp: pyproject.toml | $(VENV)/python.stamp
	@echo "Installing Overrule; the first time takes some minutes."
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/python.stamp
	@echo "Installing Overrule with what its tests need; the first time takes some minutes."
	$(BIN)/python -m pip install --quiet -e . --group dev
	@touch $@ $(VENV)/run.stamp
