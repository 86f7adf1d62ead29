# `make run` is all a newcomer needs: Python 3.11 or newer and make.
CANDIDATES := python3 python3.13 python3.12 python3.11 python
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON := $(shell for p in $(CANDIDATES); do $$p -c "$(NEW_ENOUGH)" 2>/dev/null && echo $$p && break; done)
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install run test lint bench chaos clients real

install: .venv/installed

run: .venv/installed
	.venv/bin/zeon demo

test: .venv/dev
	.venv/bin/pytest --numprocesses auto --dist loadgroup

chaos: .venv/dev
	.venv/bin/pytest -m chaos

real: .venv/dev
	.venv/bin/pytest -m real

clients: .venv/dev
	.venv/bin/pytest -m clients

lint: .venv/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

bench: .venv/installed
	.venv/bin/python -m benchmarks

.venv/installed: pyproject.toml constraints.txt hatch_build.py package-lock.json
	$(or $(PYTHON),$(error Python 3.11 or newer is needed)) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/dev: .venv/installed
	$(PIP) --editable '.[dev]'
	touch $@
