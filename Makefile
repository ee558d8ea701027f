# Ownkey. `make run` brings everything up on this machine; `make test` proves it. Needs Python >= 3.11, pip and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test lint types layers pytest proof matrix clients bench build deploy catalog lock clean

# The newest Python that works here: Lambda's own (3.13) before others. A shim that only says "not found" does not count.
PYTHON ?= $(shell for p in python3.13 $$HOME/.pyenv/versions/3.13.*/bin/python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
# Of what Stripe's package asks for: in the dependencies layer already, or for calls to Stripe, which nothing makes.
PAYMENTS_OMITS := requests certifi charset-normalizer idna urllib3 typing-extensions
PIP_FLAGS := -qq --disable-pip-version-check --require-hashes --only-binary :all:

export PYTHONPATH := shared:.

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: .venv/installed .venv-sam/installed .venv-sdk-previous/installed ## Set up all that run and test need

.venv/installed: requirements/dev.txt
	$(call install,.venv,$<)
.venv-sam/installed: requirements/sam.txt
	$(call install,.venv-sam,$<)
.venv-sdk-previous/installed: requirements/sdk-previous.txt
	$(call install,.venv-sdk-previous,$<)
.venv-clients/installed: requirements/clients.txt
	$(call install,.venv-clients,$<)
.venv-clients-instructor/installed: requirements/clients-instructor.txt
	$(call install,.venv-clients-instructor,$<)
tests/clients/node/node_modules/installed: tests/clients/node/package-lock.json .venv-clients/installed
	@echo "Installing $< (Node $$(.venv-clients/bin/node --version))"
	@cd $(<D) && PATH="$(CURDIR)/.venv-clients/bin:$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@
CLIENTS := .venv-clients/installed .venv-clients-instructor/installed tests/clients/node/node_modules/installed

define install
	@test -n "$(PYTHON)" || { echo "Ownkey needs Python 3.11 or later on the PATH."; exit 1; }
	@echo "Installing $(2) into $(1) ($$("$(PYTHON)" --version))"
	@"$(PYTHON)" -m venv --clear $(1)
	@$(1)/bin/python -m pip install $(PIP_FLAGS) -r $(2)
	@touch $(1)/installed
endef

run: .venv/installed ## Start the local stack and show the main job; ARGS="--once" ends after it
	@$(BIN)/python -m local $(ARGS)

test: setup lint types layers pytest ## All checks and all tests but the long ones

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	MYPYPATH=shared $(BIN)/mypy --strict -p ownkey

layers: .venv/installed
	$(BIN)/lint-imports

pytest: setup
	$(BIN)/python -m pytest -m "not proof" -n auto --dist loadfile $(ARGS)

matrix: setup ## Every surface x every provider's API; the table goes into docs/compatibility.md
	$(BIN)/python -m pytest tests/e2e/test_e2e_matrix.py --write-matrix $(ARGS)

clients: setup $(CLIENTS) ## Real clients and agents, unmodified, against the local stack; into docs/proof.md
	$(BIN)/python -m pytest tests/e2e/test_e2e_real_clients.py -m proof --timeout 900 --proof-report docs/proof.md $(ARGS)

proof: setup $(CLIENTS) ## The long proofs; their report is kept in docs/proof.md
	$(BIN)/python -m pytest tests -m proof -n auto --dist loadfile --timeout 3600 --proof-report docs/proof.md $(ARGS)

bench: .venv/installed ## Measure Ownkey beside a peer in one run; the report is kept in docs/bench.md
	$(BIN)/python -m bench $(ARGS)

build: setup ## Build what `sam deploy` takes, and check it
	.venv-sam/bin/sam validate --lint
	.venv-sam/bin/sam build

deploy: build ## Deploy into your AWS account, asking for what it needs
	.venv-sam/bin/sam deploy --guided

catalog: .venv/installed ## Rebuild the catalog of models and prices from its sources
	$(BIN)/python -m tools.catalog build

lock: .venv/installed ## Resolve the requirements again (needs uv)
	for f in layers/dependencies/requirements layers/payments/requirements \
			requirements/dev requirements/sam requirements/sdk-previous requirements/bench-litellm \
			requirements/clients requirements/clients-instructor; do \
		case $$f in \
			layers/payments/*) more="-c layers/dependencies/requirements.txt $(PAYMENTS_OMITS:%=--no-emit-package %)";; \
			requirements/dev) more="-c layers/dependencies/requirements.txt -c layers/payments/requirements.txt";; \
			*) more=;; \
		esac; \
		uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
			$$f.in $$more -o $$f.txt; done

clean: ## Remove what was built or installed here
	rm -rf .venv .venv-sam .venv-sdk-previous .venv-bench-litellm .venv-clients .venv-clients-instructor \
		tests/clients/node/node_modules .aws-sam .local build
