# One command for each need. Every target first brings the environment up to date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: env run lab test test-torch bench lock refresh

env: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/python -m uv pip install --python $(BIN)/python --no-deps --editable . uv
	touch $@

run: env
	$(BIN)/imgclf run

lab: env
	$(BIN)/imgclf lab
