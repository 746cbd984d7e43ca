# make setup | hooks | docs | dist | test | test-slow | test-recipes | test-slurm | test-ray | test-notebook | test-examples | test-clients | test-wheels | site | test-site | check | chaos | mutants | bench | requirements | upgrade | clean
PY := .venv/bin/python
.DEFAULT_GOAL := check
.PHONY: setup uv hooks test test-slow test-recipes test-slurm test-ray test-notebook test-examples test-clients test-clients-short test-wheels dist postgres chromium lint types check docs chaos mutants bench site test-site requirements upgrade clean

setup:
	@tools/setup.sh dev

# For targets with an environment of their own.
uv:
	@tools/setup.sh uv

# Lint and format before each commit, by `pre-commit`, which is installed on first use.
hooks: setup
	@[ -x .venv/bin/pre-commit ] || .venv/bin/uv pip install --quiet --python .venv/bin/python pre-commit
	.venv/bin/pre-commit install

# Real servers for the tests, from Debian; without root, where they are missing, their tests are skipped.
postgres:
	@tools/debian.sh initdb postgresql

chromium:
	@tools/debian.sh chromedriver chromium chromium-driver

# Three at a time on two cores: many tests wait, for a trial, a server or a lease. Each computes with one thread: threads of
# several processes on few cores wait for each other.
test: setup postgres chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist loadfile

test-slurm: setup postgres
	@tools/debian.sh slurmctld slurmctld slurmd slurm-client
	$(PY) -m pytest -m slurm --timeout 600

# Ray in an environment of its own: its requirements would change the pins.
test-ray: setup postgres
	@[ -x .venv-ray/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-ray
	.venv/bin/uv pip install --quiet --python .venv-ray/bin/python '.[postgres,ray]' pytest pytest-timeout yacs
	.venv-ray/bin/python -m pytest -m ray tests/yacs_sweep/whole/test_ray.py tests/yacs_sweep/launch/engines --timeout 600

# A kernel with what people have in notebooks (IPython, pandas), which nothing else here needs.
test-notebook: setup
	@[ -x .venv-notebook/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-notebook
	.venv/bin/uv pip install --quiet --python .venv-notebook/bin/python -r pyproject.toml pytest pytest-timeout nbclient ipykernel pandas yacs
	.venv-notebook/bin/python -m pytest -m "notebook or not slow" tests/yacs_sweep/whole/test_notebook.py tests/yacs_sweep/whole/test_api.py tests/examples/test_notebook.py

# The examples on libraries that nothing else here needs, in an environment of their own beside the launcher's.
test-examples: setup
	@[ -x .venv-examples/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-examples
	.venv/bin/uv pip install --quiet --python .venv-examples/bin/python -c requirements.txt torch lightning 'jsonargparse[signatures]' transformers accelerate
	$(PY) -m pytest -m libraries tests/examples

# The launcher, installed from its wheel, beside other clients of W&B and other versions of Optuna, each in an environment of its own.
CLIENTS := 0.20 0.23 0.26 0.29 0.31
OPTUNA_0.20 := 4.0
OPTUNA_0.23 := 4.6
test-clients: $(CLIENTS:%=client-%)

client-%: setup
	@[ -x .venv-clients/$*/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-clients/$*
	.venv/bin/uv pip install --quiet --python .venv-clients/$*/bin/python --reinstall-package yacs-sweep . 'wandb==$*.*' 'optuna$(if $(OPTUNA_$*),==$(OPTUNA_$*).*)' pytest pytest-timeout yacs
	@rm -rf build yacs_sweep.egg-info  # what the build leaves would look like an installed launcher
	.venv-clients/$*/bin/python -m pytest -q -m clients tests/yacs_sweep/whole/test_clients.py $(SELECT)

# The smallest part of it: the oldest client and the newest, which all other tests have.
test-clients-short:
	@$(MAKE) --no-print-directory client-0.20 SELECT='-k "read_back or wheel"'
	@$(MAKE) --no-print-directory client-0.31 SELECT='-k wheel'

# The source archive and the wheel, from the files that git tracks, into dist/.
dist: uv
	tools/dist.sh

# Both, installed by themselves on each Python that is here: a sweep of a plain script from its --init to its report.
test-wheels: setup
	$(PY) -m pytest -m wheels tests/yacs_sweep/whole/test_install.py --timeout 600

test-slow: setup postgres
	$(PY) -m pytest -m slow

# Short runs of each kind of file in configs/*/*.yml, on drawn pedestrians.
test-recipes: setup
	$(PY) -m pytest -m recipes tests/recipes

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	git ls-files -z -- . ':!tests' | xargs -0 .venv/bin/codespell
	git ls-files -z tests | xargs -0 .venv/bin/codespell -I tests/misspelt.txt

types: setup
	$(PY) -m mypy

# The whole test run comes last: its closing line is the last one that is printed.
check: lint types test-clients-short test

# The references in docs/ that are written from the source.
docs: setup
	$(PY) tools/config_reference.py
	$(PY) tools/cli_reference.py
	$(PY) -m tests.docs.profile_table

# The documents as a site that opens from the disk, build/site/index.html, by tools that have an environment of their own.
site: uv
	@[ -x .venv-docs/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-docs
	@.venv/bin/uv pip install --quiet --python .venv-docs/bin/python -r requirements-docs.txt
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build
	@echo "site: build/site/index.html"

test-site: setup site chromium
	$(PY) -m pytest -m site tests/docs/test_site.py

# Kills and faults at random over hundreds of trials, then an audit; at most 10 minutes.
chaos: setup
	timeout 600 $(PY) -m tests.chaos.chaos

# One change at a time in the modules that decide: do their own tests notice? At most 20 minutes. cosmic-ray has an
# environment of its own: nothing else needs it, and its requirements would change the pins.
mutants: setup
	@[ -x .venv-mutants/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-mutants
	.venv/bin/uv pip install --quiet --python .venv-mutants/bin/python cosmic-ray==8.7.0 tomli
	nice -n 10 timeout 1200 .venv-mutants/bin/python -m tests.mutants.mutants

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

# Pins for every platform and Python the project supports; run it after editing a .in file. It moves no other pin;
# `make upgrade` moves all to the newest versions there are (docs/versions.md, Dependencies).
requirements:
	@tools/setup.sh dev
	.venv/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.10 --no-header requirements.in -o requirements.txt
	.venv/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.10 --no-header -c requirements.txt requirements-dev.in -o requirements-dev.txt
	.venv/bin/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.10 --no-header -c requirements-dev.txt requirements-docs.in -o requirements-docs.txt

upgrade:
	@$(MAKE) --no-print-directory requirements UPGRADE=--upgrade

clean:
	rm -rf .venv .venv-ray .venv-notebook .venv-examples .venv-mutants .venv-clients .venv-docs .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
