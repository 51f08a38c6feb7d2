# The commands of this repository. `make` alone lists them.
#
# Everything is installed into .venv, from the exact versions in requirements/; nothing else on the machine changes,
# but for two caches: Pilotfish's (~/.cache/pilotfish, or $PILOTFISH_CACHE: compiled objects, QEMU where it is missing)
# and the C compiler's (~/.cache/zig, or $ZIG_GLOBAL_CACHE_DIR: the C library of each target).

VENV ?= .venv
PYTHON ?=
PYTEST ?= -n auto --maxprocesses 4

python := $(VENV)/bin/python
pip := $(python) -m pip --disable-pip-version-check --no-input -qq
c_files = $(shell find src tests -name '*.[ch]')

# ONNX Runtime, which we compare with, sends usage data unless told not to.
export ORT_DISABLE_TELEMETRY ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all bench lint format lock clean
.NOTPARALLEL:
.SILENT:

help: ## list these commands
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## compile the digits network for RISC-V and run it under QEMU
	$(python) examples/digits/demo.py

test: lint ## lint, then the tests but for the large networks
	$(python) -m pytest -m 'not large' $(PYTEST)

test-all: lint ## lint, then all tests (about an hour)
	$(python) -m pytest $(PYTEST)

bench: $(VENV)/.demo ## counted instructions of the fixed networks, beside the peers' figures
	$(python) bench/counts.py

lint: $(VENV)/.test ## style, types, room borders, C format
	echo 'ruff check';        $(python) -m ruff check --quiet --output-format concise
	echo 'ruff format';       $(python) -m ruff format --check --quiet --output-format concise || { echo 'run: make format'; false; }
	echo 'mypy --strict';     $(python) -m mypy --no-error-summary
	echo 'import contracts';  $(VENV)/bin/lint-imports --no-logo > $(VENV)/imports.txt || { cat $(VENV)/imports.txt; false; }
	echo 'clang-format';      $(VENV)/bin/clang-format --dry-run -Werror $(c_files) /dev/null

format: $(VENV)/.test ## format all Python and C
	$(python) -m ruff check --fix --quiet; $(python) -m ruff format --quiet
	$(VENV)/bin/clang-format -i $(c_files)

lock: $(VENV)/.made ## resolve requirements/*.lock anew
	.ci/lock $(python)

clean: ## remove .venv and everything that was built here
	rm -rf $(VENV) build dist out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests bench examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	echo 'making $(VENV)'
	.ci/venv $(VENV) $(PYTHON)
	touch $@

$(VENV)/.demo: $(VENV)/.made requirements/demo.lock pyproject.toml
	echo 'installing what the demo needs into $(VENV) (about 700 MB on disk, some minutes on a slow line)'
	$(pip) install -r requirements/demo.lock
	$(pip) install --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/.test: $(VENV)/.demo requirements/test.lock
	echo 'installing what the tests need into $(VENV) (PyTorch among it)'
	$(pip) install -r requirements/test.lock
	touch $@
