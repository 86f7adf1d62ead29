# `make run` is all a newcomer needs: Python 3.11 or newer and make.
CANDIDATES := python3 python3.13 python3.12 python3.11 python
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON := $(shell for p in $(CANDIDATES); do $$p -c "$(NEW_ENOUGH)" 2>/dev/null && echo $$p && break; done)
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: install run test lint bench chaos clients bots real lock

install: .venv/installed
ifdef EXTRAS
	$(PIP) --constraint constraints.txt --editable '.[$(EXTRAS)]'
endif

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

bots: .venv/dev
	.venv/bin/pytest -m bots

lint: .venv/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

bench: .venv/installed
	.venv/bin/python -m benchmarks

# requirements.lock has what the server needs, with hashes, for every platform and Python. The versions are those of
# constraints.txt, which has the development tools too.
lock:
	python3 -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --constraint constraints.txt --output-file requirements.lock pyproject.toml

.venv/installed: pyproject.toml requirements.lock hatch_build.py package-lock.json
	$(or $(PYTHON),$(error Python 3.11 or newer is needed)) -m venv .venv
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --editable .
	touch $@

.venv/dev: .venv/installed constraints.txt
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@
