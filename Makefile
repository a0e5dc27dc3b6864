# make demo: retrain on the drawn photos.   make test: all checks.   make test-wheel: the package in
# an environment of its own.   All make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
WHEEL := $(CURDIR)/build/wheel
# Where bytecode is not kept, each process that imports TensorFlow compiles it: 12 s instead of 4.
export PYTHONDONTWRITEBYTECODE :=
# Memory that tests have taken is kept for what comes next: to have it anew of the system each time
# takes networks a seventh longer, and those of Keras a third.
KEPT := MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 MALLOC_TOP_PAD_=67108864
# make test REAL_DATA=FOLDER: those on real photos and modules as well.
REAL := $(addprefix --real-data=,$(REAL_DATA))

.PHONY: demo test test-alone test-real test-in-turn test-wheel wheel environment clean

demo: $(VENV)/.installed
	$(BIN)/python retrain.py --image_dir sample_images --tfhub_module builtin \
	    --output_dir $(DEMO) --overwrite
	$(BIN)/python label_image.py --graph $(DEMO) --image sample_images/star/star_124.jpg

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(KEPT) $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -p no:cacheprovider \
	    --max-worker-restart=0 $(REAL) $(addprefix --ignore=,$(ALONE) $(IN_TURN))
	$(MAKE) --jobs=2 --output-sync test-alone test-in-turn

# After the others, of which two files run at a time. The first needs a core to itself. On the one
# that is left: two that interrupt their own process, as which a worker of pytest-xdist ends now and
# then, and two that take long.
ALONE := tests/whole/test_crowds.py
IN_TURN := tests/foundation/test_interruption.py tests/reports/test_reporter.py \
    tests/foundation/test_memory.py tests/whole/test_python_guide.py

test-alone:
	$(BIN)/python -m pytest -q -p no:cacheprovider $(ALONE)

test-in-turn:
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:cacheprovider $(IN_TURN)

# Those on real photos and modules alone: make test-real REAL_DATA=FOLDER.
test-real: $(VENV)/.installed-dev
	$(KEPT) $(BIN)/python -m pytest -q -n 2 --dist worksteal -m real $(REAL) \
	    tests/whole/test_real.py tests/backbone/test_keras_models.py

environment: $(VENV)/.installed-dev

# The wheel in an environment of its own, and its commands from a folder with nothing in it. What
# pip takes along with it, asked in that environment while it is empty, is linked to where it lies.
test-wheel: $(VENV)/.installed wheel
	$(BIN)/python tools/link_packages.py $(WHEEL)/report.json \
	    $$($(WHEEL)/venv/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
	$(WHEEL)/build/bin/python -m pip --python $(WHEEL)/venv/bin/python install --quiet \
	    --no-compile --no-index $(WHEEL)/dist/*.whl
	cd $(WHEEL)/empty && XDG_CACHE_HOME=$(WHEEL)/cache ../venv/bin/retrain \
	    --image_dir $(CURDIR)/sample_images --tfhub_module builtin --output_dir run --image_size 96 \
	    --optimizer lbfgs --logging_verbosity WARN
	test -f $(WHEEL)/cache/image-retraining/bottlenecks.sqlite3
	cd $(WHEEL)/empty && ../venv/bin/label-image --graph run \
	    $(CURDIR)/sample_images/star/star_124.jpg | grep '^star '

wheel:
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)/empty
	$(PYTHON) -m venv $(WHEEL)/build
	$(WHEEL)/build/bin/python -m pip install --quiet $(shell grep '^build==' requirements-dev.txt)
	$(WHEEL)/build/bin/python -m build --outdir $(WHEEL)/dist
	$(PYTHON) -m venv --without-pip $(WHEEL)/venv
	$(WHEEL)/build/bin/python -m pip --python $(WHEEL)/venv/bin/python install --quiet --dry-run \
	    --report $(WHEEL)/report.json -c requirements.txt $(WHEEL)/dist/*.whl

clean:
	rm -rf $(VENV) build

$(VENV)/.made:
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
	    'Python 3.11, 3.12 or 3.13 is needed, this is %d.%d. Name one: make PYTHON=python3.12' % v)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.made
	@echo "Installing requirements.txt into $(VENV): 2.5 GB on disk, some minutes"
	@$(BIN)/python -m pip install --quiet --no-compile -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile -r requirements-dev.txt
	@# Compiled here once, and not by each of the processes with which the tests begin.
	$(BIN)/python -c "import tensorflow"
	@touch $@
