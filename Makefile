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

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Use it -----------------------------------------------------------------

# BUNDLE is a folder, or the name of a source in bundles/, which is built once.
NAMED := $(if $(wildcard bundles/$(BUNDLE).yaml),.bundles/$(BUNDLE))

.PHONY: run
run: $(SERVE) $(addsuffix /manifest.json,$(NAMED)) ## Start the app on BUNDLE (the demo, or laptop); Ctrl-C stops it.
	@exec .venv/bin/admirer serve --config $(CONFIG) --bundle $(or $(NAMED),$(BUNDLE)) $(if $(PORT),--port $(PORT))

.bundles/%/manifest.json: bundles/%.yaml
	@$(MAKE) bundle SOURCE=$< OUT=$(@D) || { echo "Without it, make run serves the demo bundle" >&2; exit 1; }

SOURCE ?= bundles/hub.yaml
OUT ?=

.PHONY: bundle
bundle: $(DEV) ## Build the bundle that SOURCE describes in the folder OUT (docs/bundles.md).
	@test -n "$(OUT)" || { echo "Where to? OUT=my-bundle" >&2; exit 1; }
	@.venv-dev/bin/admirer bundle build $(SOURCE) --out $(OUT)

.PHONY: setup
setup: $(SERVE) ## Create the serving environment, without starting anything.

# --- Check it ---------------------------------------------------------------

.PHONY: test
test: lint types contracts test-unit test-chart test-alerts test-integration ## Lint, types, import contracts, all tests.

.PHONY: lint
lint: $(DEV) ## Check style and formatting.
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: lint-workflows
lint-workflows: .tools/bin/.actionlint-1.7.7 ## Check the workflows of GitHub with actionlint; not part of `make test`.
	@.tools/bin/actionlint

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
	@# Plugins that no unit test uses take seconds to import in every process.
	@$(PY) -m pytest tests/unit --numprocesses auto -p no:schemathesis -p no:locust

.PHONY: test-alerts
test-alerts: $(DEV) ## Tests of the alert and recording rules with promtool.
	@$(MAKE) --silent prometheus || true # the tests skip, or fail where ADMIRER_REQUIRE_PROMETHEUS=1
	@$(PY) -m pytest tests/alerts

.PHONY: test-integration
test-integration: $(DEV) $(SERVE) ## Tests with models and a local Ray.
	@$(MAKE) --silent prometheus || true
	@$(PY) -m pytest tests/integration

URL ?= http://127.0.0.1:8000
USERS ?= 8
TIME ?= 60s
SHAPE ?= step
# More options of load_tests/README.md, such as OPTIONS="--max-p95-ms 1000 --metrics-port 9646".
OPTIONS ?=

.PHONY: load-test
load-test: $(DEV) ## Load the app at URL with USERS users for TIME; SHAPE is ramp, spike, soak or step.
	@$(PY) -m locust -f load_tests/locustfile.py --headless --only-summary --stop-timeout 30 \
		--host $(URL) --users $(USERS) --spawn-rate $(USERS) --run-time $(TIME) --shape $(SHAPE) \
		--html build/load-test/report.html --csv build/load-test/locust --csv-full-history \
		--report-dir build/load-test $(OPTIONS)

.PHONY: docs
docs: $(DEV) ## Regenerate docs/settings.md.
	@$(PY) -m tools.settings_table

.PHONY: dashboards
dashboards: $(DEV) ## Regenerate Grafana dashboards, Prometheus rules and docs/metrics.md.
	@$(PY) -m dashboards

PROMETHEUS ?=
MINUTES ?= 15

.PHONY: dashboards-preview
dashboards-preview: $(DEV) ## Draw the dashboards into docs/pictures from PROMETHEUS=<its URL>.
	@test -n "$(PROMETHEUS)" || { echo "Which one? PROMETHEUS=http://127.0.0.1:9090" >&2; exit 1; }
	@$(PY) -m dashboards.preview --prometheus $(PROMETHEUS) --minutes $(MINUTES) --out docs/pictures \
		--stages captioner answerer

.PHONY: chart-docs
chart-docs: $(DEV) chart-tools ## Regenerate the chart's values schema and README.
	@$(PY) -m tools.chart_values
	@.tools/bin/helm-docs --chart-search-root charts

.PHONY: test-chart
test-chart: $(DEV) chart-tools ## Lint, unit tests and renders of the chart (no cluster).
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(PY) -m pytest tests/chart

.PHONY: test-cluster
test-cluster: $(DEV) chart-tools ## Install, load, upgrade and uninstall on the cluster that KUBECONFIG names.
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(PY) -m pytest --log-cli-level=INFO tests/cluster

# --- Measure it --------------------------------------------------------------

.PHONY: benchmark
benchmark: $(DEV) $(SERVE) ## Run the benchmarks (half an hour).
	@$(PY) -m benchmarks

# --- Image ------------------------------------------------------------------

IMAGE ?= admirer:dev
TARGET ?= cpu
BASE ?=
# For the builder itself: IMAGE_FLAGS="--isolation chroot" where buildah has no namespaces of its own.
IMAGE_FLAGS ?=
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.PHONY: image
image: ## Build IMAGE with docker, podman or buildah; TARGET is cpu, gpu or load-test, BASE another base.
	@# A docker client answers without a daemon, but cannot build.
	@if docker version >/dev/null 2>&1; then build="docker build"; \
	elif podman info >/dev/null 2>&1; then build="podman build"; \
	elif buildah info >/dev/null 2>&1; then build="buildah build --layers"; \
	else echo "make image needs docker (with its daemon), podman or buildah" >&2; exit 1; fi; \
	echo "Building $(IMAGE), target $(TARGET), with $${build%% *}"; \
	DOCKER_BUILDKIT=1 $$build $(IMAGE_FLAGS) --target $(TARGET) --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) \
		--build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
		--build-arg CREATED=$$(git show -s --format=%cI 2>/dev/null || date -u +%FT%TZ) .

# --- Tools of the chart and the workflows -------------------------------------

# Go's own client fetches and checks them; a program of the same version on PATH is used instead.
CHART_TOOLS := $(addprefix .tools/bin/.,helm-3.22.0 helm-unittest-1.1.2 kubeconform-0.7.0 helm-docs-1.14.2)

.PHONY: chart-tools
chart-tools: $(CHART_TOOLS) ## Install helm, helm-unittest, kubeconform and helm-docs into .tools/bin.

# Built where the module lies, because `go install` refuses modules that replace requirements.
# $(1) program, $(2) version, $(3) module, $(4) what the linker sets, $(5) how the program tells its version.
define go-tool
	@mkdir -p .tools/bin && rm -f .tools/bin/$(1) .tools/bin/.$(1)-[0-9]*
	@found=$$(command -v $(1) || true); if [ -n "$$found" ] && $(1) $(5) 2>/dev/null | grep -qE '(^|[^0-9.])$(subst .,\.,$(2))([^0-9.]|$$)'; then \
		echo "Using $$found ($(2))"; ln -s "$$found" .tools/bin/$(1); \
	elif ! command -v go >/dev/null && [ -n "$$found" ]; then \
		echo "Using $$found: not known to be $(2), but there is no Go to build that"; ln -s "$$found" .tools/bin/$(1); \
	elif ! command -v go >/dev/null; then \
		echo "$(1) $(2) is neither on PATH nor can it be built: install it, or Go 1.24 or newer" >&2; exit 1; \
	else \
		echo "Building $(1) $(2) into .tools/bin"; \
		go mod download $(3)@v$(2); \
		CGO_ENABLED=0 GOFLAGS=-buildvcs=false go -C "$$(go list -m -f '{{.Dir}}' $(3)@v$(2))" \
			build -trimpath -ldflags '-s -w $(4)' -o "$(CURDIR)/.tools/bin/$(1)" ./cmd/$(1); \
	fi
	@touch $@
endef

# Without a cluster, helm takes the Kubernetes that its own release build is told; here as there.
KUBERNETES := k8sVersionMajor=1 k8sVersionMinor=37
HELM_FLAGS = helm.sh/helm/v3/internal/version.version=v3$* \
	$(foreach package,chartutil lint/rules,$(addprefix helm.sh/helm/v3/pkg/$(package).,$(KUBERNETES)))
.tools/bin/.helm-3%:
	$(call go-tool,helm,3$*,helm.sh/helm/v3,$(addprefix -X ,$(HELM_FLAGS)),version --short)

# It does not tell its version, so one on PATH is used only where there is no Go.
.tools/bin/.helm-unittest-%:
	$(call go-tool,helm-unittest,$*,github.com/helm-unittest/helm-unittest,-X github.com/helm-unittest/helm-unittest/internal/build.version=$*,--version)

.tools/bin/.kubeconform-%:
	$(call go-tool,kubeconform,$*,github.com/yannh/kubeconform,-X main.version=v$*,-v)

.tools/bin/.helm-docs-%:
	$(call go-tool,helm-docs,$*,github.com/norwoodj/helm-docs,-X main.version=$*,--version)

.tools/bin/.actionlint-%:
	$(call go-tool,actionlint,$*,github.com/rhysd/actionlint,-X github.com/rhysd/actionlint.version=$*,-version)

# --- Prometheus -------------------------------------------------------------

# Both programs of PATH where they are new enough, else Debian's, which unpack without root.
PROMETHEUS_AT_LEAST := 2.42

.PHONY: prometheus
prometheus: .tools/prometheus/promtool ## Put prometheus and promtool into .tools/prometheus.

.tools/prometheus/promtool:
	@rm -rf $(@D) && mkdir -p $(@D)
	@new_enough() { command -v prometheus && command -v promtool && \
		prometheus --version 2>&1 | sed -n '1s/.*version \([0-9.]*\).*/\1/p' | \
		xargs printf '$(PROMETHEUS_AT_LEAST)\n%s\n' | sort --version-sort --check=quiet; }; \
	download() { cd $(@D) && apt-get -qq -o APT::Sandbox::User=root download prometheus; }; \
	if new_enough >/dev/null; then \
		echo "Using $$(command -v prometheus)"; \
		ln -s "$$(command -v prometheus)" "$$(command -v promtool)" $(@D); \
	elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && \
		{ (download) 2>/dev/null || { apt-get -qq update && (download); } 2>/dev/null; }; then \
		echo "Unpacking Debian's prometheus into $(@D)"; \
		dpkg-deb --extract $(@D)/*.deb $(@D)/package; \
		mv $(@D)/package/usr/bin/prometheus $(@D)/package/usr/bin/promtool $(@D); \
		rm -r $(@D)/*.deb $(@D)/package; \
	else \
		echo "no prometheus: neither $(PROMETHEUS_AT_LEAST) or newer on PATH, nor Debian's package" >&2; exit 1; \
	fi

# --- Models -----------------------------------------------------------------

.PHONY: evaluate
evaluate: $(DEV) ## Measure BUNDLE on the held-out split, with ablations.
	@$(PY) -m evaluation --bundle $(BUNDLE)

.PHONY: demo-bundle
demo-bundle: $(DEV) ## Train the demo bundle from scratch (hours on two cores; resumes).
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
requirements: $(UV) ## Update the pinned requirement files.
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) pyproject.toml --extra cpu --group install -o requirements/cpu.txt
	$(COMPILE) pyproject.toml --extra gpu --group install -o requirements/gpu.txt
	$(COMPILE) pyproject.toml --extra cpu --extra capacity --extra packing --extra parquet --extra training --group install --group load-test --group dev -o requirements/dev.txt
	@# Of versions that are tested.
	$(COMPILE) --group load-test --constraints requirements/dev.txt -o requirements/load-test.txt

.PHONY: clean
clean: ## Remove environments and caches, nothing else.
	rm -rf .venv .venv-dev .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
