# The front door: `make help` says what there is. Each target installs what it lacks
# (tools/setup.sh), then hands over to the `skerry` command (tools/cli).

# Debian keeps ip and dnsmasq where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

SKERRY := node tools/cli/skerry.mjs

.DEFAULT_GOAL := help
.PHONY: help run build image hosted debug test soak fuzz check format bench setup clean

help: ## Say what there is
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables, as in \`make run PORT=8081\`:"
	@echo "  APP=http       the app: a folder of apps/"
	@echo "  PORT=8080      port of 127.0.0.1 that leads to it"
	@echo "  MACHINE=pc     or q35, microvm"
	@echo "  NIC=e1000      or another card: \`npx skerry run --help\` has the list"
	@echo "  MEM=128        MiB of memory, from 16"
	@echo "  ACCEL=auto     or tcg, kvm"
	@echo "  APPEND=        kernel command line: ip=10.0.2.15/24 gw=10.0.2.2 dns= hostname= loglevel="
	@echo "  CC=gcc         or clang (with lld)"

run: ## Build, boot under QEMU, print the URL; Ctrl-C ends it
	@tools/setup.sh run
	@$(SKERRY) run

build: ## Make build/skerry.elf (with APP=name, build/name.elf)
	@tools/setup.sh build
	@$(SKERRY) build

image: ## Make build/skerry.iso = build/skerry.img, for CDs and USB sticks, BIOS and UEFI
	@tools/setup.sh image
	@$(SKERRY) image

hosted: ## Make build/skerry-hosted (a process over TAP) and build/libskerry.so
	@tools/setup.sh hosted
	@$(SKERRY) hosted

debug: ## Boot, wait for gdb, and say what to type
	@tools/setup.sh debug
	@$(SKERRY) debug

test: ## Run every test; the last line has the counts
	@tools/setup.sh test
	@$(SKERRY) test

soak: ## Simulate two machines over hostile networks, 10,000 seeds
	@tools/setup.sh hosted
	@$(SKERRY) soak

fuzz: ## Fuzz parsers and connections, ten minutes a target (FUZZ_TIME= seconds)
	@tools/setup.sh fuzz
	@$(SKERRY) fuzz

check: ## Formatting and types
	@tools/setup.sh check
	@$(SKERRY) check

format: ## Format every source in place
	@tools/setup.sh check
	@$(SKERRY) format

bench: ## Measure against a Debian Linux guest and lwIP, side by side (root)
	@tools/setup.sh bench
	@$(SKERRY) bench

setup: ## Only install what the targets above need
	@tools/setup.sh test
	@tools/setup.sh bench

clean: ## Remove what was built
	@rm -rf build
