# Everything here is one command on a machine that has Python 3.11 or newer and make.
#
#   make demo       the program at work, on a sample tenant and directory
#   make demo-serve a simulated CEC tenant with the demo's agents, over HTTP on loopback, to try jobs with: PORT=…
#   make test       the quick suite, in three minutes: the laws, the contract, the main runs; no server but slapd
#   make test-rest  what that leaves out, on the same Python: other servers, and whatever is slow or broad
#   make nightly    the slowest of the rest: other cases of what test-rest has one case of
#   make test-all   everything: lint, both of them, the image where one can be built, and test-pythons
#   make test-pythons  the quick suite without e2e, with fewer examples, on the oldest and the newest Python
#   make fuzz       the LDAP decoder against octets that a fuzzer makes up, for FUZZ_SECONDS (300)
#   make crash      kills the program on real servers, CRASH_KILLS (1000) times; CRASH_SEED=… repeats what was printed
#   make crash-steps  kills it at each step of the journal, under each access rule of OpenLDAP and on each SCIM server
#   make soak       `serve` for SOAK_SECONDS (600), while all around it goes wrong; SOAK_SEED=… repeats the order
#   make fleet-campaign  hundreds of jobs in a fleet whose machines die; FLEET_FLAGS="--jobs 200 --kills 20 --seed 1"
#   make live       changes at random moments while `serve.watch` looks, on four kinds of servers; LIVE_FLAGS="--minutes 10 --changes 100"
#   make mutants    faults put into the program, and which no test notices; MUTANTS=200 MUTANTS_SEED=… MUTANTS_GROUPS=…
#   make worlds     records what the program does with the worlds in tests/worlds; WORLDS="unique_values undo" for some of them
#   make bench      figures as ratios to the C tools; BENCH_FLAGS="--sizes 10000,100000 --rounds 5" and others
#   make bench-check  a short bench that fails where the program has become slower; half a minute, also in CI
#   make bench-rivals  the same beside python-ldap, bonsai and ldap3, at 10,000 users; BENCH_FLAGS="--sizes 100000" for more
#   make image      the container image cec-connector, from deploy/Dockerfile
#   make image-test that image at work, and every file in deploy/ as the program reads it that it is for
#   make sbom       what the image's Python packages are, in CycloneDX: dist/cec-connector.cdx.json
#   make release    wheel, source archive, image, SBOM and checksums in dist/, from the last commit, tried out
#   make docs       docs/ as a site with search, in dist/docs; broken links are errors
#   make pictures   those of README and docs, from the demo: docs/pictures
#   make lint       ruff, mypy, import-linter
#   make lock       the requirements files anew, from pyproject.toml and requirements/*.in; LOCK=--upgrade for newer versions
#
# PYTHON=… chooses the interpreter. PYTEST_FLAGS=… is handed to pytest: PYTEST_FLAGS="-k undo -x".

.PHONY: demo demo-serve test test-rest nightly test-all test-pythons lint docs lock fleet-campaign live fuzz crash soak mutants worlds bench bench-check bench-rivals crash-steps image image-test sbom release pictures
.DEFAULT_GOAL := demo
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

PYTEST_FLAGS ?=
LOCK ?=
FUZZ_SECONDS ?= 300
CRASH_KILLS ?= 1000
CRASH_SEED ?=
SOAK_SECONDS ?= 600
SOAK_SEED ?=
MUTANTS ?= 200
MUTANTS_SEED ?=
MUTANTS_GROUPS ?=
FLEET_FLAGS ?=
LIVE_FLAGS ?=
WORLDS ?=
BENCH_FLAGS ?=
BIN := .venv/bin
# tests at a time: more than there are cores, for many wait for a server, a process or a pause
PYTEST = $(BIN)/python -m pytest -n $(1) --dist worksteal --timeout 600
BROAD := slow or browser or ds389 or kamailio or kerberos or monitoring or postgresql or samba or temporal or wild
COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-header --no-annotate $(LOCK)

demo:
	@scripts/setup run
	@$(BIN)/cec-connector demo

demo-serve:
	@scripts/setup run
	@$(BIN)/python -m connector.demo.simulator $(if $(PORT),--port $(PORT))

test:
	@scripts/ensure-servers slapd openssh & scripts/setup dev && wait
	$(call PYTEST,3) -m "not image and not ($(BROAD))" $(PYTEST_FLAGS)

test-rest nightly:
	@scripts/setup dev
	@scripts/ensure-servers slapd openssh 389ds postgresql samba monitoring wild chromium
	@scripts/ensure-kamailio
	@scripts/ensure-kerberos
	$(call PYTEST,4) -m "$(if $(filter nightly,$@),nightly,not image and not nightly and ($(BROAD)))" $(PYTEST_FLAGS)

test-pythons:
	@scripts/test-other-pythons -m "not image and not ($(BROAD))" --ignore tests/e2e $(PYTEST_FLAGS)

test-all: lint test test-rest nightly bench-check
	@if scripts/ensure-engine; then $(MAKE) image-test; else [ "$${CI:-}" != true ]; fi
	@$(MAKE) test-pythons

lint:
	@scripts/setup dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

docs:
	@scripts/setup dev
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements/docs.txt
	$(BIN)/python -m mkdocs build

pictures:
	@scripts/setup dev
	@scripts/ensure-servers chromium
	$(BIN)/python -m tests.support.pictures

image:
	@scripts/ensure-engine
	scripts/engine build -f deploy/Dockerfile -t cec-connector \
	    --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' connector/__init__.py) \
	    --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) .

image-test:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	@scripts/ensure-engine
	@scripts/ensure-deploy-tools
	$(BIN)/python -m pytest --timeout 600 -m image $(PYTEST_FLAGS) tests/deploy

sbom:
	@scripts/ensure-deploy-tools
	@scripts/list-packages dist/cec-connector.cdx.json

release:
	@scripts/setup dev
	@scripts/ensure-deploy-tools
	@scripts/ensure-engine
	$(BIN)/python scripts/release.py

mutants:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	$(BIN)/python -m tests.mutants --mutants $(MUTANTS) $(if $(MUTANTS_SEED),--seed $(MUTANTS_SEED)) \
	    $(if $(MUTANTS_GROUPS),--groups $(MUTANTS_GROUPS))

worlds:
	@scripts/setup dev
	$(BIN)/python -m tests.support.recorded $(WORLDS)

bench:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q connector  # as whatever is installed is
	$(BIN)/python -m tests.benchmarks.run $(BENCH_FLAGS)

bench-check:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	$(BIN)/python -m tests.benchmarks.check

bench-rivals:
	@scripts/ensure-rivals
	@$(MAKE) bench BENCH_FLAGS="--rivals .tools/rivals/bin/python --sizes 10000 --works read,find,apply $(BENCH_FLAGS)"

crash:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	$(BIN)/python -m tests.support.crash --kills $(CRASH_KILLS) $(if $(CRASH_SEED),--seed $(CRASH_SEED))

crash-steps:
	@scripts/setup dev
	@scripts/ensure-servers slapd
	$(BIN)/python -m tests.support.crash --steps

soak:
	@scripts/setup dev
	@scripts/ensure-servers slapd monitoring postgresql
	$(BIN)/python -m tests.support.soak --seconds $(SOAK_SECONDS) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

fleet-campaign:
	@scripts/setup dev
	@scripts/ensure-servers slapd monitoring postgresql
	$(BIN)/python -m tests.support.fleet_campaign $(FLEET_FLAGS)

live:
	@scripts/setup dev
	@scripts/ensure-servers slapd 389ds samba
	$(BIN)/python -m tests.support.live $(LIVE_FLAGS)

fuzz:
	@scripts/setup dev
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@mkdir -p .fuzz/corpus
	$(BIN)/python -m tests.fuzz.ldap_codec -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=.fuzz/ \
	    .fuzz/corpus tests/fuzz/seeds

lock:
	@scripts/setup run
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements/lock.txt
	$(COMPILE) pyproject.toml --extra postgresql --extra otel --extra fleet requirements/build.in requirements/dev.in -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra postgresql -c requirements/dev.txt -o requirements/postgresql.txt
	$(COMPILE) pyproject.toml --extra docs -c requirements/dev.txt -o requirements/docs.txt
	$(COMPILE) pyproject.toml --extra otel -c requirements/dev.txt -o requirements/otel.txt
	$(COMPILE) pyproject.toml --extra fleet -c requirements/dev.txt -o requirements/fleet.txt
	$(COMPILE) pyproject.toml --extra gssapi -c requirements/dev.txt -o requirements/gssapi.txt
	$(COMPILE) requirements/gssapi-build.in -o requirements/gssapi-build.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) requirements/scim-servers.in -c requirements/dev.txt -o requirements/scim-servers.txt
	$(COMPILE) requirements/wild.in -o requirements/wild.txt
	$(COMPILE) requirements/rivals-build.in -o requirements/rivals-build.txt
	$(COMPILE) requirements/rivals.in -c requirements/dev.txt -o requirements/rivals.txt
	$(COMPILE) requirements/deploy.in -o requirements/deploy.txt
	$(COMPILE) requirements/lock.in -o requirements/lock.txt
	$(COMPILE) requirements/fuzz.in -o requirements/fuzz.txt
