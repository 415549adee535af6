# One command for each thing one does here. Nothing needs to be installed by hand except Rust,
# Python 3 and make: what a target needs, tools/setup.sh puts in place first, in no time when it is there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

SETUP := tools/setup.sh
CARGO ?= cargo
# Optimised like a release, linked in a fraction of its time: for what is built to be run once.
QUICK := --profile quick
# How long `make fuzz` stays with each target, and which one (all unless named).
FUZZ_SECONDS ?= 60
FUZZ_TARGET ?=
# Steps of `make shield`.
SHIELD_STEPS ?= 10000000
# What forecasting models are compared on, and options of tests/forecast/compare.py; for
# backtest-report the folder of the development traces, and options of `foresail backtest`.
TRACES ?=
OPTIONS ?=
POLICIES ?= foresail,foresail-responsive,foresail-calm,foresail-observed,hpa-cpu,hpa-rps,keda,kpa,phpa-linear,phpa-holt,crane-ehpa,aws-predictive,arima-stab,seasonal-reactive,static

.PHONY: help setup demo compose compose-down compose-test kube crd manifests image test test-unit test-e2e test-docs \
	e2e-kube check fmt lint doc deny wasm build bench forecast-compare backtest-report shield drift-golden drift-compare fuzz clean

help: ## Show this list
	@echo 'Usage: make TARGET'
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Put every tool in place (wasm target, Envoy, browser, ...) and say which way it took
	@$(SETUP) all

demo: wasm ## Real Envoy, real load, live dashboard (HEADLESS=1, DEMO_SECONDS=60)
	@$(SETUP) envoy
	$(CARGO) build $(QUICK) -p foresail-aggregator
	$(CARGO) run $(QUICK) -p foresail-tests --bin demo

compose: wasm ## The stack of docker-compose.yml, in the background (SHAPE=day|flash|step|csv, see compose/README.md)
	@$(SETUP) envoy
	$(CARGO) build $(QUICK) -p foresail-aggregator
	tools/compose.sh up --detach
	@echo 'compose   http://127.0.0.1:9900/ is the dashboard; make compose-down ends it'

compose-down: ## End it, and leave nothing
	tools/compose.sh down

compose-test: wasm ## The stack on a real engine: containers grow and shrink with a crowd; starts dockerd if there is none
	@$(SETUP) envoy compose
	$(CARGO) build $(QUICK) -p foresail-aggregator
	tools/compose.sh test

kube: ## A real Kubernetes control plane on loopback, with pods that only pretend to run
	@$(SETUP) kube
	@.tools/bin/control-plane up

crd: ## Write the definition of MeshAutoscaler: istio/base/crd.yaml
	@mkdir -p istio/base
	$(CARGO) run -q -p foresail-aggregator -- crd >istio/base/crd.yaml

manifests: ## Write what the chart renders with its defaults: istio/base/foresail.yaml
	@$(SETUP) manifests
	.tools/bin/helm template foresail istio/chart --namespace foresail >istio/base/foresail.yaml

test: test-unit test-e2e test-docs e2e-kube ## Every test: unit and property tests, real Envoy, real Kubernetes

test-unit:
	$(CARGO) test --workspace --exclude foresail-tests

test-e2e: wasm
	@$(SETUP) envoy browser
	$(CARGO) build $(QUICK) -p foresail-aggregator
	tools/e2e.sh $(QUICK)

test-docs: ## The documents: settings, API with its OpenAPI description, metrics, rules, every command, every link; builds target/book
	@$(SETUP) book openapi prometheus
	$(CARGO) build $(QUICK) -p foresail-aggregator
	python3 tools/docs

e2e-kube: wasm ## Every test against a real Kubernetes control plane
	@$(SETUP) envoy kube manifests keda
	$(CARGO) build $(QUICK) -p foresail-aggregator
	tools/e2e-kube.sh $(QUICK)

check: fmt lint doc deny ## Everything but tests: format, lints for host and wasm, documentation, licences

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	tools/wasm-cargo.sh clippy -p foresail-filter -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

deny:
	tools/deny.sh

wasm: ## Build the filter: target/wasm/foresail_filter.wasm
	@$(SETUP) wasm binaryen
	tools/build-filter.sh

image: wasm ## Pack the filter as an OCI image layout, target/image/filter, and print its digest
	tools/image.py target/wasm/foresail_filter.wasm target/image/filter

build: ## Build the aggregator: target/release/foresail
	$(CARGO) build --release -p foresail-aggregator

bench: wasm build ## Measure what the filter costs a request and what the aggregator can take
	@$(SETUP) envoy kube
	$(CARGO) bench --workspace --bench '*'

forecast-compare: ## Forecasting models against statsforecast and prophet (TRACES="a.csv b.csv", OPTIONS=--prophet)
	@$(SETUP) forecast
	$(CARGO) build $(QUICK) -p foresail-aggregator
	.tools/bin/forecast-python tests/forecast/compare.py --foresail target/quick/foresail $(OPTIONS) $(TRACES)

backtest-report: ## Every policy swept over the development traces (TRACES=FOLDER, POLICIES=a,b, OPTIONS="--startup 180")
	tools/traces.py $(TRACES) target/traces
	$(CARGO) build $(QUICK) -p foresail-aggregator
	target/quick/foresail backtest --sweep --policies $(POLICIES) $(OPTIONS) \
		--trace target/traces/*.csv --json target/backtest.json >target/backtest.txt
	tools/backtest_report.py target/backtest.json

shield: ## Ten million steps of hostile advice and observations against the guards (SHIELD_STEPS=...)
	FORESAIL_SHIELD_STEPS=$(SHIELD_STEPS) $(CARGO) test $(QUICK) -p foresail-aggregator --test properties \
		learned -- --nocapture

drift-golden: ## Write what river decides on invented streams: aggregator/tests/drift/golden.json
	@$(SETUP) drift
	.tools/bin/drift-python tests/drift/compare.py aggregator/tests/drift/golden.json

drift-compare: ## The drift detectors against river on real traces (TRACES="a.csv b.csv")
	@$(SETUP) drift
	@mkdir -p target
	.tools/bin/drift-python tests/drift/compare.py target/drift-cases.json $(TRACES)
	FORESAIL_DRIFT_CASES=$(CURDIR)/target/drift-cases.json $(CARGO) test -p foresail-aggregator --test drift -- --nocapture

fuzz: ## Fuzz each decoder (FUZZ_SECONDS=60, FUZZ_TARGET=name)
	tools/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGET)

clean: ## Remove what was built and the links to tools (their cache stays, see tools/README.md)
	$(CARGO) clean
	rm -rf .tools
