# Two commands matter: `make explore` and `make test`. Both need only Python 3.11+ and make.
# Linux without a GPU: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves gigabytes of CUDA libraries.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
EXPLORE_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2
# setuptools warns at length about every editable install. Older pips ignore the second variable.
INSTALL := PYTHONWARNINGS="ignore:Editable installation" PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet -c constraints.txt

# The first Python that runs, is one the pins have wheels for, and can make environments. PYTHON=... takes that one alone.
FIND_PYTHON = for p in $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3 python); do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; then echo $$p; break; fi; done

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/made:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "make: wanted Python 3.11 to 3.14 with venv and pip, found none (on Debian: apt-get install python3-venv)" >&2; exit 2; fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) && $(INSTALL) --upgrade pip && touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing (a few minutes the first time)"
	@$(INSTALL) -e . && touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "installing what the tests need"
	@$(INSTALL) -e '.[test]' && touch $@

explore: $(VENV)/installed ## Open the Posterior Explorer; trains its default models first if there are none
	@$(BIN)/gpvae explore $(EXPLORE_ARGS)

test: $(VENV)/installed-test ## Run the tests (page tests need a system Chromium)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

gate: $(VENV)/installed-test ## Check style, types and the reference
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright && $(MAKE) --no-print-directory docs

docs: $(VENV)/installed-test ## Build the documentation into docs/_build/html; a warning is an error
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html && echo "docs/_build/html/index.html"

bench: $(VENV)/installed-test ## Run every bench
	@names=$$($(BIN)/gpvae list benches --json | $(BIN)/python -c \
		'import json, sys; print(*(row["name"] for row in json.load(sys.stdin)))') && \
	for name in $$names; do $(BIN)/gpvae bench "$$name" || exit; done

wheel: $(VENV)/installed-test ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove the environment and caches; runs/ stays
	@rm -rf $(VENV) build dist docs/_build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help explore test gate docs bench wheel clean
