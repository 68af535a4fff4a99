# One command for each need. Each first brings its environment up to date.
PYTHON ?= python3
BIN := .venv/bin
TORCH := .venv-torch/bin
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

# Tests of modules that never touch a network: their answer is the same on every backend.
SAME := archives audit_plots cache cache_folders catalog data_commands decoding defects \
    figures file_findings file_lists fixes formats image_files outcomes pillow_warnings pixels \
    practice report setup similar sources splits suite finding_walk image_explorer \
    start_here explore_data your_own_images

.PHONY: env run lab test test-torch bench lock refresh pictures

env: .venv/ready

run: env
	$(BIN)/imgclf run

lab: env
	$(BIN)/imgclf lab

test: env
	$(BIN)/python -m pytest tests -n 2 --dist loadfile

# The library on PyTorch, in an environment without TensorFlow; only what a backend can change.
test-torch: .venv-torch/ready
	KERAS_BACKEND=torch $(TORCH)/python -m pytest tests -m "not course" -n 2 --dist loadfile \
	    $(foreach name,$(SAME),--ignore-glob='tests/*test_$(name).py')

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
	$(BIN)/python -m pytest tests/browser tests/test_notebooks.py -n 2 --dist loadfile
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
