# The commands a person needs. CI runs the same ones.
# The first of these that runs and is of a version that we support.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
            $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && \
            echo $$p && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
LOCK   := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help setup kernels demo test unit test-kernels test-peers bench-core check format protos lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.installed kernels ## make .venv from requirements.lock, and compile the kernels

# Nothing to do where the cache holds them; without them NumPy's kernels compute.
kernels: $(VENV)/.installed
	@$(BIN)/python -m convnest_core.kernels compile || true

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || \
	  { echo "ConvNest needs Python 3.11 or 3.12; name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) from requirements.lock (once, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -qq --require-hashes --requirement requirements.lock
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## train on handwriting and classify a picture, end to end
	@$(BIN)/convnest demo

test: setup ## run every test, with every form of the kernels
	@$(BIN)/python -m pytest
	@$(MAKE) --no-print-directory test-kernels

unit: setup ## run the tests that need no other process
	@$(BIN)/python -m pytest tests/unit

AVX2 = $(shell grep -v '^\#' tests/avx2.env)
test-kernels: setup ## run core's tests with NumPy's kernels, with bounds checked, with AVX2 alone
	@echo "NumPy's kernels:"
	@CONVNEST_KERNELS=numpy $(BIN)/python -m pytest -q tests/unit/core tests/unit/core_team
	@echo "Kernels that look at every access:"
	@CONVNEST_KERNEL_CHECKS=1 $(BIN)/python -m pytest -q tests/unit/core
ifeq ($(shell uname -m),x86_64)
	@echo "Kernels for a CPU with AVX2 alone:"
	@env $(AVX2) $(BIN)/python -m pytest -q tests/unit/core
endif

test-peers: ## compare the network library with PyTorch (installs it in bench/.venv)
	@bench/setup
	@bench/.venv/bin/python -m pytest tests/peers

bench-core: ## time the network library against PyTorch and ONNX Runtime (long; quiet machine)
	@bench/setup
	@bench/.venv/bin/python bench/core $(ARGS)

check: setup protos-fresh ## format, lint, types, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy

format: setup ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

PROTOC = $(BIN)/python -m grpc_tools.protoc --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
         --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc -I protos
GENERATE = $(PROTOC) --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) \
           --mypy_grpc_out=quiet:$(1) protos/convnest_api/v1/*.proto

protos: setup ## generate the stubs beside protos/**/*.proto
	@$(call GENERATE,protos)

.PHONY: protos-fresh
protos-fresh: setup
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(call GENERATE,"$$fresh") && \
	  for file in $$(cd "$$fresh" && find . -name '*_pb2*'); do \
	    cmp -s "$$fresh/$$file" "protos/$$file" || \
	      { echo "protos/$$file is stale: run make protos" >&2; exit 1; }; \
	  done

lock: ## renew the locks from pyproject.toml (needs uv)
	$(LOCK) --upgrade --extra all --extra dev --output-file requirements.lock pyproject.toml
	@# The image's, in the same versions: what the server and the worker need; what builds them.
	$(LOCK) --constraint requirements.lock --extra server --extra worker \
	  --output-file docker/requirements.lock pyproject.toml
	echo hatchling | $(LOCK) --constraint requirements.lock --output-file docker/build.lock -

clean: ## remove what the commands above made
	rm -rf $(VENV) bench/.venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output
