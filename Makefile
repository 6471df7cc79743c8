# The whole developer interface. `make` alone prints what there is.
#
# Everything is built inside .venv from the hashed requirements; only Python 3.11 or newer and make
# have to be there before. PYTHON=... names another interpreter to build .venv with.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SOURCES := $(wildcard supervisors fifo protos benchmarks tests)
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check bench protos lock

help: ## print the targets, one line each
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## build .venv from the hashed requirements (again only when they changed)

demo: setup ## show 100,000 supervised processes lose a tenth of their number and regain it
	$(RUN) -m supervisors.demo

up: setup ## the node of the demo, kept up until it is interrupted
	$(RUN) -m supervisors.demo --stay

test: check ## run everything: set-up, check, then all tests
	$(RUN) -m pytest

check: setup ## lint, formatting and strict types
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy --strict $(SOURCES)

bench: setup ## measure the floors and print them as a table (BENCH_JSON=FILE for rows of JSON)
	$(RUN) -m benchmarks

protos: setup ## make fifo/v1 anew from the protos
	$(RUN) -m protos.generate

lock: setup ## pin the newest allowed requirements, with hashes
	$(LOCK) --upgrade pyproject.toml --output-file requirements.txt
	$(LOCK) --upgrade --extra dev pyproject.toml --output-file requirements-dev.txt

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "FiFo needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
	    "install one, or name it with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --require-hashes -r requirements-dev.txt
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
