# Every target has one line of help; `make` alone prints it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
READY := $(VENV)/.ready

# Real servers that the tests and the rehearsal start: Debian package=a file or command that proves it.
SERVERS := git=git openssh-server=sshd dovecot-imapd=/usr/lib/dovecot/imap,/usr/libexec/dovecot/imap \
	dovecot-lmtpd=/usr/lib/dovecot/lmtp,/usr/libexec/dovecot/lmtp
TEST_SERVERS := $(SERVERS) systemd=systemd-analyze

.PHONY: help venv check test proof run bench bench-micro lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY) ## make .venv with the locked versions (again when the locks change)

$(READY): requirements-dev.lock requirements-build.lock scripts/venv
	@scripts/venv $(VENV)

check: $(READY) ## format, lint, types, walls between rooms, module length
	@scripts/check

test: $(READY) ## install what is missing, then check and run every test
	@scripts/need $(TEST_SERVERS)
	@scripts/check
	@scripts/test

proof: $(READY) ## the long proofs: more than 10^6 cases through every parser, and what they found
	@HOLDFAST_PROOF=1 scripts/test tests/proof -n auto --dist worksteal --timeout 14400

run: $(READY) ## rehearse real outages before your eyes and leave the daemon up until Ctrl-C
	@scripts/need $(SERVERS)
	@$(VENV)/bin/holdfast rehearse

bench: $(READY) ## every figure of docs/performance.md, beside the peers that are installed; ARGS=--quick is short
	@$(VENV)/bin/python bench/main.py $(ARGS)

bench-micro: $(READY) ## where an event's time goes: each room by itself
	@mkdir -p build/bench
	@$(VENV)/bin/python -m pytest bench/micro -q -p no:xdist -W default --benchmark-quiet \
		--benchmark-json=build/bench/micro.json $(ARGS) >&2
	@$(VENV)/bin/python bench/budget.py build/bench/micro.json

lock: ## choose versions anew and write both lock files
	@scripts/lock

clean: ## remove .venv and everything that tools left behind
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find bench daemon tests -name __pycache__ -type d -prune -exec rm -rf {} +
