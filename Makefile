# Two commands do everything on a machine with Python 3.11 and make: `make quickstart`, `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

TFLITE_VENV := $(VENV)/tflite-runtime
MEDIAPIPE_VENV := $(VENV)/mediapipe
TASK_VENV := $(VENV)/task-library

.PHONY: install quickstart test suite lint types docs bench clean tflite-runtime mediapipe
.DEFAULT_GOAL := help

help:
	@echo "make quickstart   install, then run the whole chain on bundled data (6 minutes on 2 cores)"
	@echo "make test         install, then lint (style, imports), types and tests"
	@echo "make tflite-runtime   the environment of target tflite-runtime"
	@echo "make mediapipe    MediaPipe and TFLite's Task Library, for tests (1 GB)"
	@echo "make docs         the drawing of the module graph"
	@echo "make bench        every benchmark that this machine can run"

install: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it or set PYTHON=..."; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[dev]"
	@# On all cores: pip would use one. Some packages hold files for other versions of Python.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib 2>/dev/null || true
	@touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/hwnas quickstart

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

# An old runtime with an environment of its own, for Linux; its tests are skipped without it.
tflite-runtime: $(TFLITE_VENV)/.installed

$(TFLITE_VENV)/.installed:
	-$(PYTHON) -m venv $(TFLITE_VENV) \
	  && $(TFLITE_VENV)/bin/python -m pip install --quiet "tflite-runtime==2.14.*" "numpy<2" \
	  && touch $@

# Libraries that read TFLite files on phones, as witnesses in tests/test_mediapipe.py (1 GB).
mediapipe: $(MEDIAPIPE_VENV)/.installed $(TASK_VENV)/.installed

$(MEDIAPIPE_VENV)/.installed:
	$(PYTHON) -m venv $(MEDIAPIPE_VENV)
	$(MEDIAPIPE_VENV)/bin/python -m pip install --quiet "mediapipe>=1.0"
	touch $@

$(TASK_VENV)/.installed:
	$(PYTHON) -m venv $(TASK_VENV)
	$(TASK_VENV)/bin/python -m pip install --quiet "tflite-support==0.4.4" "numpy<2"
	touch $@

# What keeps one core busy runs beside something else.
test:
	$(MAKE) -j2 install tflite-runtime
	$(MAKE) lint
	$(MAKE) -j2 types suite

# A file's tests stay together: many share what takes long to make. Files come in the order of
# tests/conftest.py, the long ones first.
suite: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

docs: $(STAMP)
	$(BIN)/python docs/module_graph.py

bench: $(STAMP)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(TFLITE_VENV) $(MEDIAPIPE_VENV) $(TASK_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
