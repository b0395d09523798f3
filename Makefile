# Everything here runs in .venv, which is made at the first call and brought up to date when the dependencies change.

PYTHON ?= python3
MODEL ?= coatnet
TRIALS ?= 8
NAME ?= $(MODEL)-$(TRIALS)-trials
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: study test long-test nodes-test cluster-test faults backbones fuzz check audit format bench gpu-pack gpu-check install clean help
.DEFAULT_GOAL := help

help:
	@echo "make study    a first study: $(TRIALS) trials of $(MODEL) (make study MODEL=vit TRIALS=16 ARGS='--seeds 5')"
	@echo "make test     the whole test suite (a part of it: make test ARGS=tests/unit)"
	@echo "make long-test     whole studies of kinds that the suite has a quicker one of (ten minutes)"
	@echo "make cluster-test  a real cluster on three hosts that it makes on this machine (Linux, root): docs/cluster.md"
	@echo "make nodes-test    studies over several Ray nodes: lost, late, few, stopped, autoscaled, taken away (18 minutes)"
	@echo "make faults        500 faults at random moments of a study, and what they cost: docs/reliability.md (hours)"
	@echo "make fuzz     damages the files of every reader, for a while each (ARGS='--minutes 1'): docs/security.md"
	@echo "make backbones     cuts a small model of each of timm's modules, and tests it: docs/backbones.md (resumes)"
	@echo "make check    formatter, linter, type checker and audit of the dependencies, as before every review"
	@echo "make format   formats, and fixes what the linter can fix"
	@echo "make bench    every benchmark, into benchmarks/results.md"
	@echo "make gpu-pack lays out what a GPU machine without a network lacks, and make gpu-check there tests it: docs/gpu.md"
	@echo "make install  only the environment, in .venv (PYTHON=python3.12 chooses another Python)"
	@echo "make clean    removes what tools left behind; keeps .venv and results/"
	@echo ""
	@echo ".venv/bin/study lists the commands that make a study, compare several, and more"

# --resume: a second call shows the study that is there, and one that was interrupted goes on
study: $(INSTALLED)
	$(BIN)/python -m study.run --model $(MODEL) --trials $(TRIALS) --name $(NAME) --resume $(ARGS)

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(ARGS)

long-test: $(INSTALLED)
	@$(BIN)/python -m pytest -m long $(ARGS)

cluster-test: $(INSTALLED)
	@$(BIN)/python -m tests.cluster

nodes-test: $(INSTALLED)
	@$(BIN)/python -m pytest -m nodes $(ARGS)

faults: $(INSTALLED)
	@$(BIN)/python -m tests.faults.suite $(ARGS)

backbones: $(INSTALLED)
	@$(BIN)/python -m tests.backbones $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(BIN)/python .ci/audit.py

audit: $(INSTALLED)
	@$(BIN)/python .ci/audit.py

fuzz: $(INSTALLED)
	@$(BIN)/python -m tests.fuzz $(ARGS)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks $(ARGS)

gpu-pack: $(INSTALLED)
	@$(BIN)/python gpu/pack.py $(ARGS)

# there without .venv: with the machine's own Python, and what gpu-pack laid out
gpu-check:
	@$(PYTHON) gpu/check.py $(ARGS)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || { \
		$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)' \
		&& $(PYTHON) -m venv .venv; }
	@echo "installing into .venv (the first time a minute or more)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $@

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find benchmarks search_spaces study tests trainables -name __pycache__ -type d -prune -exec rm -rf {} +
