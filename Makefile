# One command for each need. Each first brings its environment up to date.
PYTHON ?= python3
BIN := .venv/bin
TORCH := .venv-torch/bin
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

# Tests of one file stay together; tests/conftest.py puts the longest files first.
TWO := -n 2 --dist loadfile --no-loadscope-reorder
# What a commit should not wait for: the parts whose tests train nothing.
QUICK := $(wildcard tests/test_[er]*.py) tests/test_storage.py tests/files tests/data tests/audit tests/plots
# What a backend can change.
BOTH := tests/test_backend.py tests/network tests/training tests/evaluation/test_prediction.py \
    tests/course/widgets/test_training.py tests/course/exercises/test_build_model.py

.PHONY: env run lab check test test-torch bench lock refresh pictures

env: .venv/ready

run: env
	$(BIN)/imgclf run

lab: env
	$(BIN)/imgclf lab

# Before every commit: format, lint, types, and the unit tests that train nothing.
check: env
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(QUICK) -m "not course and not slow" $(TWO)

test: env
	$(BIN)/python -m pytest tests $(TWO)

# The library on PyTorch, in an environment without TensorFlow.
test-torch: .venv-torch/ready
	KERAS_BACKEND=torch $(TORCH)/python -m pytest $(BOTH) -m "not course" $(TWO)

bench: env
	$(BIN)/python bench/tutorials.py
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/profile_step.py
	$(BIN)/python bench/onednn.py
	$(BIN)/python bench/course.py
	test ! -d data/cifar10 || $(BIN)/python bench/decoding.py

# Pin and hash every package again.
lock: env
	$(BIN)/python -m $(COMPILE) --extra cpu --extra test pyproject.toml -o requirements.lock

# Execute the notebooks in place, so that their stored outputs are those of a headless run.
refresh: env
	$(BIN)/python docs/refresh.py

# The pictures of the README are screenshots of the browser tests.
pictures: env
	$(BIN)/python -m pytest tests/browser tests/test_notebooks.py $(TWO)
	$(BIN)/python docs/pictures.py runs/shots

.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	# Compiled once, and not in every kernel: some systems never keep what Python compiles.
	$(BIN)/python -m uv pip install --compile-bytecode --require-hashes \
	    --requirement requirements.lock
	$(BIN)/python -m uv pip install --no-deps --editable .
	touch $@

.venv-torch/ready: requirements.lock pyproject.toml
	test -x $(TORCH)/python || $(PYTHON) -m venv .venv-torch
	$(TORCH)/python -m pip install --quiet --disable-pip-version-check uv torch==2.13.0
	$(TORCH)/python -m uv pip install --compile-bytecode --constraint requirements.lock \
	    --editable '.[torch,test]'
	# The original of EfficientNet-Lite0, which our port is compared with.
	$(TORCH)/python -m uv pip install --no-deps efficientnet-lite-pytorch==0.1.0
	touch $@
