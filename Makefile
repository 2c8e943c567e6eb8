# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint schemas clean

demo: $(VENV)/.installed
	$(BIN)/registry demo

test: $(VENV)/.installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy registry plugins/registry_mobilenet plugins/registry_classification plugins/registry_demo \
		plugins/registry_detection plugins/registry_segmentation plugins/registry_baselines \
		plugins/registry_handbook plugins/registry_scaffold plugins/registry_pytest \
		plugins/registry_recipes plugins/registry_data plugins/registry_training \
		plugins/registry_export plugins/registry_tuning plugins/registry_benchmark \
		plugins/registry_quantization
	$(BIN)/lint-imports
	$(BIN)/registry validate --strict plugins/

schemas: $(VENV)/.installed-dev
	REGISTRY_PLUGINS= $(BIN)/registry schema --out schemas

# torch and torchvision are resolved together, in one command: apart they can end up in versions that do not fit
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-output dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
