# make demo | test | lint: each does all of its own set-up in .venv; a second call reuses it.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= auto

.PHONY: help demo test timm-tests lint clean

help:
	@echo "make demo   train VARS models on real digits, score them and a real ImageNet classifier: leaderboard and figure"
	@echo "make test   the tests"
	@echo "make timm-tests  timm's own tests of models on the tiny models here (about ten minutes)"
	@echo "make lint   ruff and mypy"
	@echo "make clean  remove .venv and everything that was generated"

# Where Python comes without ensurepip (Debian without python3-venv), virtualenv from pip makes the environment.
$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$$($(PYTHON) --version) is too old: vars-timm needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV): the tested versions of $(CONSTRAINTS) (about 5.5 GB; minutes on a first run)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); \
	    $(PYTHON) -m pip install --quiet --target .bootstrap virtualenv && \
	    PYTHONPATH=.bootstrap $(PYTHON) -m virtualenv --quiet $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python scripts/demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8

# ARGS narrows: make timm-tests ARGS="rvt_small_vars_d -k 'backward or torchscript'"
timm-tests: $(READY)
	@$(BIN)/python scripts/timm_tests.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy vars_timm eval/vars_eval

clean:
	rm -rf $(VENV) .bootstrap demo/ results build dist *.egg-info
