# The whole of Lectern on one machine. Needs Python >= 3.11 and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
JOBS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2) + 1))) # many tests wait
TORTURE = LECTERN_TORTURE=1 $(BIN)/python -m pytest --timeout 14400
UV_COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml --extra build

.PHONY: help demo up test torture check check-terraform format bench bench-encode bench-scale bench-ladder images sbom audit lock clean
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/python.ok:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lectern needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/runtime.ok: $(VENV)/python.ok requirements.lock pyproject.toml
	@echo "Installing what Lectern needs (once, about 150 MB) ..."
	@awk '/^[a-z]/ { keep = /^setuptools==/ } keep' requirements.lock >$(VENV)/setuptools.lock # builds pyvips, which has no wheel
	@$(PIP) --require-hashes -r $(VENV)/setuptools.lock
	@$(PIP) --require-hashes --no-build-isolation -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.ok: $(VENV)/runtime.ok requirements-dev.lock
	@echo "Installing what the tests need (once) ..."
	@$(PIP) --require-hashes --no-build-isolation -r requirements-dev.lock
	@touch $@

demo: $(VENV)/runtime.ok ## the whole handshake on a short lecture, or on your own: make demo FILE=path
	@$(BIN)/lectern demo $(if $(FILE),"$(FILE)")

up: $(VENV)/runtime.ok ## the service on http://127.0.0.1:8080 until Ctrl-C (PORT, LECTERN_DATA_DIR)
	@exec $(BIN)/lectern up

test: $(VENV)/dev.ok ## all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

torture: $(VENV)/dev.ok ## the long forms of the suites that break things on purpose (hours), or of one: SUITES=tests/hostile
ifdef SUITES
	$(TORTURE) -n0 $(SUITES)
else
	$(TORTURE) -n $(JOBS) --dist worksteal $(addprefix tests/,simulation faults hostile api lms_side images)
	$(TORTURE) -n0 $(addprefix tests/,crash network load)
endif

check: $(VENV)/dev.ok ## ruff, mypy strict, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-terraform: ## format, validity, tests and checkov of terraform/; needs terraform and its registry
	terraform fmt -check -recursive terraform
	for root in example modules/storage; do \
		(cd terraform/$$root && terraform init -backend=false -input=false && terraform validate && terraform test) || exit 1; done
	$(BIN)/uv tool run --isolated checkov==3.3.30 -d terraform --framework terraform --compact --quiet

format: $(VENV)/dev.ok ## put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.ok ## print the figures of the README and write them to bench/out/
	$(BIN)/python -m bench

bench-encode: $(VENV)/dev.ok ## bytes, VMAF and CPU time against bare FFmpeg, on recordings of your own: CLIPS=dir (SECONDS=60 for less)
	$(BIN)/python -m bench encode $(if $(CLIPS),--clips "$(CLIPS)") $(if $(SECONDS),--seconds $(SECONDS))

bench-scale: $(VENV)/dev.ok ## a recording in pieces against one encode, and an hour of it on 1 to 256 workers: FILE=path
	$(BIN)/python -m bench.scale $(if $(FILE),--file "$(FILE)")

bench-ladder: $(VENV)/dev.ok ## CPU time of a ladder in one run against one run for each rendition
	$(BIN)/python -m bench ladder

images: ## build the container images, start and probe each one (docker, or as root on Debian buildah)
	@.ci/images $(TARGET)

sbom: $(VENV)/dev.ok ## what is shipped (CycloneDX) and its licences: build/sbom.cdx.json, docs/licences.md
	@.ci/sbom

audit: $(VENV)/dev.ok ## known vulnerabilities of what is locked; asks OSV (api.osv.dev)
	$(BIN)/uv tool run --isolated --from pip-audit==2.9.0 pip-audit --disable-pip --require-hashes -s osv -r requirements-gcp.lock

lock: $(VENV)/dev.ok ## resolve the dependencies anew
	$(UV_COMPILE) -o requirements.lock
	$(UV_COMPILE) --extra gcp -c requirements.lock -o requirements-gcp.lock
	$(UV_COMPILE) --extra gcp --extra dev -c requirements-gcp.lock -o requirements-dev.lock

clean: ## remove what was installed and built; recordings in var/ stay
	rm -rf $(VENV) bench/out build *.egg-info .mypy_cache .ruff_cache .pytest_cache
