# The commands a person types. Each installs what it needs in .venv if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is installed: all that running needs, and the developers' tools as well.
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
QUICKSTART ?= quickstart
STARTER ?= starter
# Processes that share the tests, by file; each keeps about one core busy and takes up to 4 GB.
TEST_WORKERS ?= 2
# By the names of files: by the number of their tests, as is usual, trainings would come last, and one worker would wait.
SHARED := -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
# What tells most in two minutes: a training of a detector and of the loop alone, the mathematics against stored values and
# slow references, the numbers of the field, records there and back, a kill, and flags.
QUICK := \
	'tests/test_train_family.py::test_each_of_the_family_trains_from_its_flagfile_and_is_measured[fast_rcnn-Fast R-CNN]' \
	$(addprefix tests/test_,$(addsuffix .py,train config losses schedules map)) tests/tasks/test_classification.py \
	$(addprefix tests/ops/test_,$(addsuffix .py,boxes anchors matching nms masks rle keypoints convolutions)) \
	$(addprefix tests/data/test_,$(addsuffix .py,records index order info)) tests/metrics \
	$(addprefix tests/cli/test_,$(addsuffix .py,facts flags validate))
START := $(shell date +%s)

.NOTPARALLEL:  # Two targets would install at once.

.PHONY: help setup quickstart starter quick test test-long machines fuzz check docs bench clean

help:
	@echo "make setup       the environment, in $(VENV)"
	@echo "make quickstart  synthetic scenes, training, evaluation and pictures, in $(QUICKSTART)/ (less than 10 minutes on two free cores)"
	@echo "make starter     the starter weights anew, in $(STARTER)/ (about 90 minutes of CPU time; what was stopped continues)"
	@echo "make quick       the tests that tell most, in about two minutes: for use between edits"
	@echo "make test        all tests but the long matrices, of which it has representatives"
	@echo "make test-long   all tests"
	@echo "make machines    trainings on several workers: the same numbers as on one, and whatever ends one of them (about 11 minutes of CPU time)"
	@echo "make fuzz        1,000 damaged inputs for every reader of files of others (16 minutes of CPU time, on all cores)"
	@echo "make check       formatting, lint, types, direction of imports"
	@echo "make docs        the documentation as a site, in site/"
	@echo "make bench       speed; PEER_PYTHON=... names an interpreter with torchvision to compare with"

setup: $(READY)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tfrecog needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "could not make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(RUNS): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing TensorFlow and what else running needs in $(VENV): some minutes"
	$(INSTALL) .
	@touch $(RUNS)

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing TensorFlow and the developers' tools in $(VENV): some minutes"
	$(INSTALL) '.[dev]'
	@touch $(RUNS) $(READY)

quickstart: $(RUNS)
	@echo "1 of 4: drawing scenes, 2,000 to learn from and 200 to be measured on"
	$(BIN)/python -m pipelines.scenes --count=2000 --min_objects=5 --max_objects=9 --split=train --out=$(QUICKSTART)/data
	$(BIN)/python -m pipelines.scenes --count=200 --split=val --out=$(QUICKSTART)/data
	@echo "2 of 4: checking them; some are drawn in $(QUICKSTART)/data.png"
	$(BIN)/python -m pipelines.check --data=$(QUICKSTART)/data --out=$(QUICKSTART)/data.png
	@echo "3 of 4: training a Mask R-CNN, 938 steps: 3 to 8 minutes on two free cores"
	$(BIN)/python -m tfrecog.train --flagfile=configs/scenes/quickstart.flags \
		--data.records=$(QUICKSTART)/data --workdir=$(QUICKSTART)/run
	@echo "4 of 4: its detections in 12 images that it was not trained on"
	$(BIN)/python -m pipelines.extract --data=$(QUICKSTART)/data --split=val --count=12 --out=$(QUICKSTART)/photos
	$(BIN)/python -m tfrecog.predict --flagfile=$(QUICKSTART)/run/experiment.flags \
		--images='$(QUICKSTART)/photos/*.jpg' --out=$(QUICKSTART)/seen
	@echo "the data: $(QUICKSTART)/data.png   what the model sees: $(QUICKSTART)/seen/"
	@echo "how it did: $(QUICKSTART)/run/report.html"
	@echo "how it came to that: $(QUICKSTART)/run/predictions/   $(BIN)/tensorboard --logdir=$(QUICKSTART)/run"
	@$(BIN)/python -c "import json, time; m = json.load(open('$(QUICKSTART)/run/metrics.json'))['metrics']; \
		print(f'box_AP50={m[\"box_AP50\"]:.3f} mask_AP50={m[\"mask_AP50\"]:.3f} minutes={(time.time() - $(START)) / 60:.1f}')"

starter: $(RUNS)
	$(BIN)/python -m pipelines.shapes --count=12000 --split=train --out=$(STARTER)/data
	$(BIN)/python -m pipelines.shapes --count=300 --split=val --out=$(STARTER)/data
	$(BIN)/python -m tfrecog.train --flagfile=configs/starter/mask_rcnn_r18_fpn.flags \
		--data.records=$(STARTER)/data --workdir=$(STARTER)/run
	$(BIN)/python -c "from tfrecog.weights import starter; print(starter.pack('$(STARTER)/run', '$(STARTER)/starter.zip'))"
	@echo "to have them in the package: cp $(STARTER)/starter.zip tfrecog/weights/"

quick: $(READY)
	$(BIN)/python -m pytest $(SHARED) -m "not long" $(QUICK)

test: $(READY)
	$(BIN)/python -m pytest -rs $(SHARED) -m "not long"

test-long: $(READY)
	$(BIN)/python -m pytest -rs $(SHARED)

machines: $(READY)
	$(BIN)/python -m pytest -rs tests/machines tests/runtime

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/zensical build --strict --clean

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(QUICKSTART)
