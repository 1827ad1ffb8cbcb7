.DEFAULT_GOAL := help
SHELL := /bin/bash

# PYTHON makes the environment, VENV is where it is: `make test PYTHON=python3.12 VENV=/tmp/env`.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
READY := $(VENV)/.medgen-ready
DATA ?= ../shared/data
# Options of the benchmark: `make bench BENCH='--only pairs --quick'`.
BENCH ?=
DEMO := out/demo
SAMPLE ?= sample_data/head/t1.nii.gz
# One thread a test process: two processes share two cores without getting in each other's way.
PYTEST = OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist loadfile

help:            ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)   ## Make a CT from an MRI, and a picture of both
	@rm -rf $(DEMO)
	$(RUN)/medgen translate $(SAMPLE) --to ct -o $(DEMO)/ct.nii.gz --preview $(DEMO)/preview.png
	@echo "CT in Hounsfield units:  $(DEMO)/ct.nii.gz"
	@echo "MRI and CT side by side: $(DEMO)/preview.png"

test: $(READY)   ## Run the tests
	$(PYTEST) -m 'not tools and not slow'

slow: $(READY)   ## Run the tests that take their time: whole trainings, large files
	$(PYTEST) -m 'slow and not tools'

tools: $(READY)  ## Run the tests that need dicom3tools, dcmtk, orthanc and dcm2niix
	MEDGEN_REQUIRE_TOOLS=1 $(PYTEST) -m tools

check: lint types test slow  ## Everything but `tools`

lint: $(READY)   ## Check style and formatting
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(READY)  ## Check static types
	$(RUN)/mypy

weights: $(READY)  ## Train the bundled weights again; hours
	$(RUN)/python -m benchmarks.train_base --data $(DATA)
	$(RUN)/python -m benchmarks.train_flows --data $(DATA)

bench: $(READY)  ## Measure what BENCHMARKS.md says; hours
	$(RUN)/python -m benchmarks.run --data $(DATA) $(BENCH)

clean:           ## Remove what the tools leave behind; the environment and runs/ stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info out

$(READY): pyproject.toml constraints.txt
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet -c constraints.txt -e '.[dicom,eval,dev]'
	touch $@

.PHONY: help demo test slow tools check lint types weights bench clean
