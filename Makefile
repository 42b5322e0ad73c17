# make lab      open the first lesson in JupyterLab (builds the environment if it must)
# make test     the tests, then every lesson against its stored outputs
# make help     the rest

PYTHON ?= python3
VENV ?= .venv
LAB_ARGS ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
LESSONS ?= lessons/*.ipynb lessons/assignments/source/*/*.ipynb
ASSIGNMENTS ?= $(notdir $(patsubst %/,%,$(wildcard lessons/assignments/source/*/)))

RUN := $(VENV)/bin/python
STAMP := $(VENV)/.complete
UNFINISHED := $(VENV)/.unfinished

.DEFAULT_GOAL := help
.PHONY: help env lab test quick lessons release tiny lint format clean moved

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# The environment. It is complete when its stamp is there, newer than what it was built from, and names this folder.
# An unfinished or moved one is built from nothing; one that is only older than pyproject.toml is brought up to date.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): moved
endif

$(STAMP): pyproject.toml constraints.txt
	@echo "Building the environment in $(VENV): some minutes the first time"
	@if [ -e $(UNFINISHED) ] || { [ -e $@ ] && [ "$$(cat $@)" != "$(CURDIR)" ]; }; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && echo "$(CURDIR)" > $(UNFINISHED) && rm -f $@
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install $(PIP_ARGS) --constraint constraints.txt --editable '.[app,lecturer,dev]'
	@mv $(UNFINISHED) $@

env: $(STAMP)  ## build the environment, .venv
	@echo "$(VENV) is complete"

lab: $(STAMP)  ## open lesson 00 in JupyterLab; LAB_ARGS="--no-browser --port=8899" and the like are passed on
	$(RUN) -m jupyterlab --LabApp.news_url=None --LabApp.default_url=/lab/tree/lessons/00_hear_it_first.ipynb $(LAB_ARGS)

# One thread each: two workers, a browser, a server and a kernel share the cores, and threads that spin would wait for
# each other. A file stays with one worker, so that what its tests share is made once.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadfile
test: export OMP_NUM_THREADS = 1
test: export MUSICGEN_EDU_SIZE = quick
test: $(STAMP)  ## the tests, then every lesson in its quick size against its stored outputs
	$(RUN) -m pytest $(SHARED) --junitxml=build/tests.xml $(PYTEST_ARGS)
	$(RUN) -m pytest $(SHARED) --junitxml=build/lessons.xml --nbval-lax --nbval-current-env --nbval-cell-timeout=300 $(LESSONS)
	@$(RUN) tests/summary.py build/tests.xml build/lessons.xml

quick: export OMP_NUM_THREADS = 1
quick: $(STAMP)  ## ruff and the tests that take no long: for who changes a line
	$(RUN) -m ruff check -q
	$(RUN) -m pytest -q $(SHARED) -m "not slow and not browser" $(PYTEST_ARGS)

lessons: export MUSICGEN_EDU_SIZE = cpu
lessons: $(STAMP)  ## execute the lessons again in their CPU size and keep the outputs; LESSONS="lessons/05_..." for some
	$(RUN) -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=600 \
	    --ExecutePreprocessor.store_widget_state=False --ExecutePreprocessor.record_timing=False $(LESSONS)

# nbgrader starts alembic by its name, so the environment has to be on the path.
release: export PATH := $(abspath $(VENV)/bin):$(PATH)
release: $(STAMP)  ## build the students' notebooks in lessons/assignments/release; ASSIGNMENTS="02_..." for some
	@set -e; for name in $(ASSIGNMENTS); do \
	    (cd lessons/assignments && nbgrader generate_assignment "$$name" --force); done
	@echo "The students' notebooks: lessons/assignments/release"

tiny: $(STAMP)  ## train the shipped model, assets/tiny, from nothing (hours on a CPU)
	$(RUN) -m musicgen_edu.experiments.tiny all

lint: $(STAMP)  ## ruff: rules and layout
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

format: $(STAMP)  ## ruff: mend what it can
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

clean:  ## remove caches and build results; the environment stays (it is rebuilt after `rm -r .venv`)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find musicgen_edu tests lessons benchmarks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
