# Everything a person or CI does with this repository. Python 3.10 to 3.12 is all that has to be installed.
#
#   make run        environment, requirements, and the page at http://127.0.0.1:7860
#   make test       every test but the slow ones, the browser's included
#   make test-all   every test
#   make lint       ruff (lint and format) and mypy
#   make audit      known vulnerabilities of what is installed, those that dev/advisories.json accepts left out
#   make newest     the tests that tell whether newer releases of transformers, gradio and pypdf still fit
#   make versions   the model against the oldest and the newest transformers that longt5 says it is tested with
#   make space      deploys what is committed into a fresh folder as a Space does, and summarizes the example there
#   make bench      speed and memory against transformers, and of the app, on small models: some minutes
#   make screenshot makes the README's picture again
#   make example    writes assets/example/longt5-explained.pdf again
#   make example-summary   writes the summary of it that the first screen shows again
#   make axe        fetches axe-core, with which the browser tests look for faults of accessibility
#   make clean      removes the environment and the caches
#
# Another interpreter: make run PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Stamps: installing again only when a requirements file is newer than what was installed from it.
READY     := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: space run test test-all lint format audit newest versions bench example example-summary axe screenshot clean browser tesseract

run: $(READY)
	$(BIN)/python app.py

space:
	dev/rehearse_space.sh $(if $(filter python3,$(PYTHON)),python3.12,$(PYTHON))

test: $(DEV_READY) browser tesseract
	$(BIN)/python -m pytest -m "not slow" --timeout 600

test-all: $(DEV_READY) browser tesseract
	$(BIN)/python -m pytest --timeout 1800

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy longt5 app
	$(BIN)/mypy app.py

format: $(DEV_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: $(DEV_READY)
	$(BIN)/python dev/audit.py

# The newest releases lie beside the pinned ones and are found first.
NEWEST := run/newest
newest: $(DEV_READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(NEWEST) \
	    transformers 'gradio[mcp]' pypdf
	PYTHONPATH=$(NEWEST) $(BIN)/python -m pytest -m "not slow" --timeout 600 tests/longt5/test_modeling_parity.py \
	    tests/longt5/test_generation_parity.py tests/app/documents tests/app/page tests/app/service

# `make test` has the pinned release. Each lies beside what is installed, without dependencies, and is found first.
VERSIONS := $(shell sed -n 's/^OLDEST, NEWEST = "\(.*\)", "\(.*\)"$$/\1 \2/p' longt5/versions.py)
versions: $(DEV_READY)
	for version in $(VERSIONS); do \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	        --target run/transformers-$$version transformers==$$version && \
	    PYTHONPATH=run/transformers-$$version $(BIN)/python -m pytest -m "not slow" --timeout 600 \
	        tests/longt5/test_drop_in.py tests/longt5/test_modeling_parity.py tests/longt5/test_generation_parity.py \
	        tests/longt5/generating \
	        || exit 1; \
	done

bench: $(READY)
	$(BIN)/python -m benchmarks.encoder
	$(BIN)/python -m benchmarks.generate
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.app

example: $(DEV_READY)
	$(BIN)/python assets/example/make_example_paper.py

example-summary: $(READY)
	$(BIN)/python -m app.page.example

axe: tests/browser/node_modules/axe-core/axe.min.js

tests/browser/node_modules/axe-core/axe.min.js:
	npm install --prefix tests/browser --no-save --no-package-lock --ignore-scripts --no-audit --no-fund axe-core@4.10.3

screenshot: $(DEV_READY) browser
	LONGT5_SCREENSHOT=assets/screenshot.png $(BIN)/python -m pytest -q tests/browser/test_screenshot.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis .gradio
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------- environment

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || { \
	    echo "This needs Python 3.10, 3.11 or 3.12, and '$(PYTHON)' is not one of them." \
	         "Name one that is, for example: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu install python3-venv, then try again." >&2; exit 1; }

$(READY): $(BIN)/python requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV_READY): $(READY) requirements-dev.txt requirements-corpus.txt requirements-jax.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Installs a package of Debian where nobody has to be asked for it.
install_package = command -v apt-get >/dev/null && \
    if [ "$$(id -u)" = 0 ]; then \
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1); \
    elif sudo -n true 2>/dev/null; then \
        sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1); \
    else false; fi

# The browser tests take the Chromium that the variable CHROMIUM names, or one on the PATH under a usual name.
browser:
	@if [ -n "$$CHROMIUM" ] && [ -x "$$CHROMIUM" ]; then exit 0; fi; \
	for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	    if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	{ $(call install_package,chromium); } && exit 0; \
	echo "The browser tests need Chromium: install the package chromium, or set CHROMIUM to the path of one." >&2; \
	exit 1

# Without Tesseract the tests of scans are skipped.
tesseract:
	@command -v tesseract >/dev/null || { $(call install_package,tesseract-ocr); } || \
	    echo "The tests of scanned papers need Tesseract and are skipped: install the package tesseract-ocr." >&2
