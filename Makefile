# Two commands for everybody: make demo, make test. The rest is for those who work on hybrid.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.cfg pyproject.toml README.md LICENSE \
	$(shell find hybrid cache cli -name '*.py' -o -name '*.j2' -o -name 'FORMAT.md' -o -name 'py.typed')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := hybrid cache cli tests benchmarks tools
TOOLS := .venv-tools

.PHONY: demo test tests fault-test slow-test lint format types bench bench-extract bench-cache bench-gpu wheel clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:
	@echo "make demo   install into $(VENV), run hybrid on the embedded sample, print the comparison"
	@echo "make test   install what the tests need into $(VENV), run lint, types and tests"
	@echo "make dev    link this checkout into $(VENV) and install the pre-commit hooks: for work on hybrid"
	@echo "make fault-test   the fault tests in large numbers: cache, disk that refuses, signals; about three hours"
	@echo "make slow-test   the tests that take minutes: real films in full, large networks, memory"
	@echo "make audit   search the packages in $(VENV) for known vulnerabilities; OSV=FILE where the index has none"
	@echo "make bom     write the bill of materials of $(VENV), in CycloneDX, to dist/bom.cdx.json"
	@echo "make lock    resolve requirements/*.txt anew, with the hash of each file"
	@echo "make fuzz    feed mutated files to the readers; TARGET=catalogue SECONDS=600"
	@echo "also: lint, format, types, bench, bench-extract, bench-cache, bench-gpu, wheel, clean"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 10) <= v < (3, 14) and \
	"hybrid needs Python 3.10 to 3.13, found %d.%d; name another with: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade --requirement requirements/pip.in  # those that Python brings along have known faults

# The package is installed, not linked: what is tested is what users get.
$(VENV)/installed: $(BIN)/python $(SOURCES)
	@echo "installing hybrid into $(VENV) (the first time this downloads TensorFlow)"
	@rm -rf build *.egg-info
	@$(PIP) .
	@rm -rf build *.egg-info
	@touch $@

# uv unpacks the dependencies on all cores, pip on one; pip then installs the package, and whatever uv could not
# (it may find no index). pip would compile all on one core, tests of other packages included, and large packages
# of which little is imported. What does not compile is no error, as for pip.
UNCOMPILED = /(tests?|pip|fontTools|pygments|mypyc?|onnxruntime|kagglesdk)/
PIP_INDEX = $${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || echo https://pypi.org/simple)}
$(VENV)/installed-for-tests: $(BIN)/python $(SOURCES)
	@echo "installing hybrid and its test tools into $(VENV)"
	@rm -rf build *.egg-info
	@$(PIP) "$$(grep '^uv ' requirements/tools.in)" && $(BIN)/uv pip install --quiet --python $(BIN)/python \
	  --default-index "$(PIP_INDEX)" --no-build-isolation --requirement setup.cfg --extra test || true
	@$(PIP) --no-compile --no-build-isolation ".[test]"
	@$(BIN)/python -m compileall -qq -j 0 -x '$(UNCOMPILED)' $(VENV)/lib || true
	@rm -rf build *.egg-info
	@touch $@ $(VENV)/installed

# Linked instead of installed: an edit counts at once, in any folder. `make test` installs again. The
# versions are those of the lock file, each with its hash; `make test` takes the newest of each range.
.PHONY: dev
dev: $(BIN)/python
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@rm -rf $(VENV)/lib/python*/site-packages/hybrid  # compiled loops of an earlier installation would hide the link
	@rm -rf build
	@rm -f $(VENV)/installed $(VENV)/installed-for-tests
	$(BIN)/pre-commit install

demo: $(VENV)/installed
	@$(BIN)/hybrid demo

# A file stays with one of the two processes: what its tests share is made once. A process that dies, or hangs
# in a test for ten minutes, ends the run with a failure that names the test: xdist waits for ever for those
# that are started in its place.
WATCH = --max-worker-restart=0 -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
test: lint
	@$(MAKE) --no-print-directory -j 2 types tests

tests: $(VENV)/installed-for-tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(WATCH)

fault-test: $(VENV)/installed-for-tests
	$(BIN)/pytest --fault-counts=full tests/cache/test_kill.py tests/cache/test_power_cut.py \
	  tests/cache/test_damage.py tests/cache/test_any_file.py tests/cache/test_state_machine.py \
	  tests/cli/test_disk_faults.py tests/cli/test_signals.py tests/remote/test_fault_cache.py tests/cache/test_mirror.py

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

# Eight minutes on a machine with a GPU; all that is installed are wheels.
bench-gpu: $(VENV)/installed-for-tests
	@$(PIP) --only-binary :all: "$$(sed -n '/^gpu =/{n;s/^ *//p}' setup.cfg)"
	$(BIN)/python benchmarks/gpu.py

# Needs about 12 GB of disk while it runs.
bench-cache: $(VENV)/installed
	$(BIN)/python benchmarks/cache.py

$(TOOLS)/installed: requirements/tools.txt requirements/pip.in
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements/tools.txt
	@touch $@

# Exit code: 0 nothing known, 1 vulnerabilities known, 2 not all packages could be searched.
.PHONY: audit
audit: $(VENV)/installed $(TOOLS)/installed
	$(TOOLS)/bin/python tools/audit_dependencies.py $(BIN)/python $(if $(OSV),--osv $(OSV))

.PHONY: bom
bom: $(VENV)/installed $(TOOLS)/installed
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --spec-version 1.6 --output-reproducible \
	  --output-format JSON --output-file dist/bom.cdx.json

# The files are the same for all supported Pythons; markers say which version is whose.
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(TOOLS)/bin/uv pip compile --quiet --universal \
	--python-version 3.10 --generate-hashes $(if $(UPGRADE),--upgrade)
.PHONY: lock
lock: $(TOOLS)/installed
	$(LOCK) --extra dev setup.cfg --output-file requirements/dev.txt
	$(LOCK) requirements/tools.in --output-file requirements/tools.txt

# make fuzz TARGET=catalogue SECONDS=600; all targets without TARGET. Atheris where it is installed.
SECONDS ?= 600
.PHONY: fuzz
fuzz: $(VENV)/installed-for-tests
	$(BIN)/python tests/fuzz/run.py $(TARGET) --seconds $(SECONDS)

wheel: $(VENV)/installed-for-tests
	@rm -rf build *.egg-info
	$(BIN)/python -m build --wheel --no-isolation --outdir dist
	@rm -rf build *.egg-info

clean:
	rm -rf $(VENV) $(TOOLS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
