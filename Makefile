# make setup | test | test-slow | check | chaos | bench | clean
PY := .venv/bin/python
.DEFAULT_GOAL := check
.PHONY: setup test test-slow lint types check chaos bench requirements clean

setup:
	@tools/setup.sh dev

test: setup
	$(PY) -m pytest

test-slow: setup
	$(PY) -m pytest -m slow

lint: setup
	$(PY) -m ruff check .

types: setup
	$(PY) -m mypy

check: lint types test

# Kills and faults at random over hundreds of trials, then an audit; at most 10 minutes.
chaos: setup
	timeout 600 $(PY) -m tests.chaos.chaos

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

# Pins for every platform and Python the project supports; run it after editing a .in file.
requirements:
	@tools/setup.sh dev
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header requirements.in -o requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header -c requirements.txt requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
