# make demo: retrain on the drawn photos.   make test: all checks.   Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo

.PHONY: demo test clean

demo: $(VENV)/.installed
	$(BIN)/python retrain.py --image_dir sample_images --tfhub_module builtin \
	    --output_graph $(DEMO)/output_graph.pb --output_labels $(DEMO)/output_labels.txt \
	    --summaries_dir $(DEMO)/retrain_logs --checkpoint_path $(DEMO)/checkpoint
	$(BIN)/python label_image.py --graph $(DEMO)/output_graph.pb \
	    --labels $(DEMO)/output_labels.txt --image sample_images/star/star_124.jpg

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider --ignore=$(ALONE)
	$(BIN)/python -m pytest -q $(ALONE)

# Needs the processor to itself, after the others, of which two files run at a time.
ALONE := tests/whole/test_crowds.py

clean:
	rm -rf $(VENV) build

$(VENV)/.made:
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
	    'Python 3.11, 3.12 or 3.13 is needed, this is %d.%d. Name one: make PYTHON=python3.12' % v)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.made
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@
