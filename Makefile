# Two commands for everybody: make demo, make test. The rest is for those who work on hybrid.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.cfg pyproject.toml README.md LICENSE \
	$(shell find hybrid cache cli -name '*.py' -o -name '*.j2' -o -name 'FORMAT.md' -o -name 'py.typed')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := hybrid cache cli tests benchmarks

.PHONY: demo test tests fault-test slow-test lint format types bench bench-extract bench-cache wheel clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:
	@echo "make demo   install into $(VENV), run hybrid on the embedded sample, print the comparison"
	@echo "make test   install what the tests need into $(VENV), run lint, types and tests"
	@echo "make dev    link this checkout into $(VENV) and install the pre-commit hooks: for work on hybrid"
	@echo "make fault-test   the cache's fault tests in large numbers, about an hour"
	@echo "make slow-test   the tests that take minutes: real films in full, large networks, memory"
	@echo "also: lint, format, types, bench, bench-extract, bench-cache, wheel, clean"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 10) <= v < (3, 14) and \
	"hybrid needs Python 3.10 to 3.13, found %d.%d; name another with: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)

# The package is installed, not linked: what is tested is what users get.
$(VENV)/installed: $(BIN)/python $(SOURCES)
	@echo "installing hybrid into $(VENV) (the first time this downloads TensorFlow)"
	@rm -rf build *.egg-info
	@$(PIP) .
	@rm -rf build *.egg-info
	@touch $@

$(VENV)/installed-for-tests: $(BIN)/python $(SOURCES)
	@echo "installing hybrid and its test tools into $(VENV)"
	@rm -rf build *.egg-info
	@$(PIP) ".[test]"
	@rm -rf build *.egg-info
	@touch $@ $(VENV)/installed

# Linked instead of installed: an edit counts at once, in any folder. `make test` installs again.
.PHONY: dev
dev: $(BIN)/python
	@$(PIP) --editable ".[dev]"
	@rm -rf $(VENV)/lib/python*/site-packages/hybrid  # compiled loops of an earlier installation would hide the link
	@rm -rf build
	@rm -f $(VENV)/installed $(VENV)/installed-for-tests
	$(BIN)/pre-commit install

demo: $(VENV)/installed
	@$(BIN)/hybrid demo

# A file stays with one of the two processes: what its tests share is made once.
test: lint
	@$(MAKE) --no-print-directory -j 2 types tests

tests: $(VENV)/installed-for-tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

fault-test: $(VENV)/installed-for-tests
	$(BIN)/pytest --fault-counts=full tests/cache/test_kill.py tests/cache/test_power_cut.py \
	  tests/cache/test_damage.py tests/cache/test_state_machine.py

slow-test: $(VENV)/installed-for-tests
	$(BIN)/pytest -m "slow and not gpu"

lint: $(VENV)/installed-for-tests
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/installed-for-tests
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/installed-for-tests
	$(BIN)/mypy -p hybrid

# make bench CATALOGUE=films/catalogue.csv WEIGHTS=mobilenet_7_5_224_notop.weights.h5
bench: $(VENV)/installed
	$(BIN)/python benchmarks/films.py $(CATALOGUE) --weights $(WEIGHTS)

# make bench-extract POSTERS=films/posters
bench-extract: $(VENV)/installed
	$(BIN)/python benchmarks/extract.py $(POSTERS)

# Needs about 12 GB of disk while it runs.
bench-cache: $(VENV)/installed
	$(BIN)/python benchmarks/cache.py

wheel: $(VENV)/installed-for-tests
	@rm -rf build *.egg-info
	$(BIN)/python -m build --wheel --no-isolation --outdir dist
	@rm -rf build *.egg-info

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
