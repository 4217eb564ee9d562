# Everything installs into the checkout: .tools (uv), .venv (what serves), .venv-dev (what tests and trains).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BUNDLE ?= bundles/demo
# A GPU set is 6 GB; it is installed only where there is a GPU to use it.
SET := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
UV := .tools/uv/bin/uv
CONFIG := serve/config/$(if $(filter gpu,$(SET)),demo-gpu,demo).yaml
SERVE := .venv/.installed-$(SET)
DEV := .venv-dev/.installed
PY := .venv-dev/bin/python
SOURCES := bank benchmarks deployments evaluation models serve training

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Use it -----------------------------------------------------------------

.PHONY: run
run: $(SERVE) ## Start the app on the demo bundle; Ctrl-C stops it.
	@exec .venv/bin/admirer serve --config $(CONFIG) --bundle $(BUNDLE) $(if $(PORT),--port $(PORT))

.PHONY: setup
setup: $(SERVE) ## Make the environment that serves, without starting anything.

# --- Check it ---------------------------------------------------------------

.PHONY: test
test: lint types contracts test-unit test-integration ## Lint, types, import contracts, all tests.

.PHONY: lint
lint: $(DEV) ## Check style and formatting.
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: format
format: $(DEV) ## Apply formatting and safe fixes.
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: types
types: $(DEV) ## Check types.
	@$(PY) -m mypy

.PHONY: contracts
contracts: $(DEV) ## Check who imports whom.
	@.venv-dev/bin/lint-imports

.PHONY: test-unit
test-unit: $(DEV) ## Tests without Ray and without weights (seconds).
	@$(PY) -m pytest tests/unit

.PHONY: test-integration
test-integration: $(DEV) $(SERVE) ## Tests with models and a local Ray.
	@$(PY) -m pytest tests/integration

.PHONY: docs
docs: $(DEV) ## Write what is generated in README again.
	@$(PY) -m serve.settings_table

# --- Models -----------------------------------------------------------------

.PHONY: evaluate
evaluate: $(DEV) ## Measure BUNDLE on the held-out split, with ablations.
	@$(PY) -m evaluation --bundle $(BUNDLE)

.PHONY: demo-bundle
demo-bundle: $(DEV) ## Train the demo bundle from nothing (hours on two cores; resumes).
	@$(PY) -m training --out bundles/demo

.PHONY: export
export: $(DEV) ## Write the ONNX graphs beside the weights of BUNDLE.
	@$(PY) -m training.export --bundle $(BUNDLE)

# --- Environments -----------------------------------------------------------

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "admirer needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Installing uv into .tools"
	@$(PYTHON) -m venv --clear .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# $(1) is the folder, $(2) the requirement set.
define install
	@echo "Installing requirements/$(2).txt into $(1)"
	@test -x $(1)/bin/python || $(UV) venv --python $(PYTHON) $(1)
	@$(UV) pip sync --compile-bytecode --python $(1)/bin/python --require-hashes requirements/$(2).txt
	@$(UV) pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	@rm -f $(1)/.installed*
	@touch $@
endef

.venv/.installed-%: requirements/%.txt pyproject.toml $(UV)
	$(call install,.venv,$*)

$(DEV): requirements/dev.txt pyproject.toml $(UV)
	$(call install,.venv-dev,dev)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
.PHONY: requirements
requirements: $(UV) ## Resolve the pinned requirement files again.
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) pyproject.toml --extra cpu --group install -o requirements/cpu.txt
	$(COMPILE) pyproject.toml --extra gpu --group install -o requirements/gpu.txt
	$(COMPILE) pyproject.toml --extra cpu --extra training --group install --group dev -o requirements/dev.txt

.PHONY: clean
clean: ## Remove environments and caches, nothing else.
	rm -rf .venv .venv-dev .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
