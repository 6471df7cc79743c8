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

# What real zones and VMs need of Debian or Ubuntu; nothing else of the machine is changed.
PACKAGES := runc crun busybox-static nftables iproute2 btrfs-progs qemu-system-x86 qemu-utils \
	genisoimage e2fsprogs grub-pc-bin skopeo util-linux libzstd1

.DEFAULT_GOAL := help
.PHONY: help setup packages demo up test check bench protos lock

help: ## print the targets, one line each
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## build .venv from the hashed requirements (again only when they changed)

packages: ## install what real zones and VMs need, when root; else name what is missing
	@missing=""; for package in $(PACKAGES); do \
	  [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || \
	    missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing$$missing" && apt-get -q update >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $$missing \
	      >/dev/null; \
	  else echo "without$$missing (and root) the hosts are simulated: no real zone or VM"; fi; fi

demo: setup packages ## real zones and a VM: created, killed, brought back; nothing left behind
	$(VENV)/bin/fifo demo

up: setup packages ## the node of the demo with its images and network, kept up until Ctrl-C
	$(VENV)/bin/fifo demo --stay

test: check packages ## run everything: set-up, check, then all tests
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
