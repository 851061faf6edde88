# make run: set up, run the quickstart campaign, print the path of its report
# make test: set up, run the test suite
# make docs: set up, build the documentation
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: run test check docs train clean
.NOTPARALLEL:

run: $(STAMP)
	$(BIN)/mscflow run inputs/quickstart.yaml --dir runs/quickstart

test: $(STAMP) $(VENV)/.browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html
	@echo docs/_build/html/index.html

train: $(STAMP)
	mkdir -p runs/train
	tar xf inputs/train_msc_small.labels.tar.xz -C runs/train
	$(BIN)/mscflow train inputs/train_msc_small.yaml --dir runs/train

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null || \
	  { echo "make: Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The report is tested in a real browser.
$(VENV)/.browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { echo "make: installing chromium for the browser tests"; \
	    $$( [ "$$(id -u)" = 0 ] || echo sudo ) sh -c 'apt-get update -qq && apt-get install -y -qq chromium >/dev/null'; } || \
	  { echo "make: chromium is needed for the browser tests: apt-get install chromium"; exit 2; }
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info docs/_build docs/gallery docs/gallery.md
