# The front door: `make help` says what there is. Each target installs what it lacks
# (tools/setup.sh), then hands over to the `skerry` command (tools/cli).

# Debian keeps ip and dnsmasq where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

SKERRY := node tools/cli/skerry.mjs

.DEFAULT_GOAL := help
.PHONY: help test check format setup clean

help: ## Say what there is
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## Run every test; the last line has the counts
	@tools/setup.sh test
	@$(SKERRY) test

check: ## Formatting and types
	@tools/setup.sh check
	@$(SKERRY) check

format: ## Format every source in place
	@tools/setup.sh check
	@$(SKERRY) format

setup: ## Only install what the targets above need
	@tools/setup.sh test

clean: ## Remove what was built
	@rm -rf build
