# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a person types. How things are built stands in modules/build.mk; how a
# Kamailio module is built stands in modules/module.mk.

SHELL := /bin/bash
.NOTPARALLEL:

B := $(CURDIR)/build
JOBS ?= $(shell nproc)
export V KSR_SRC KSR_BIN MODULE_DIR JOBS SAN ONLY KEEP DB DESTDIR PREFIX FUZZ_SECONDS

Q := $(if $(filter-out 0,$(V)),,@)

# One build at a time in one tree: two runs beside each other wait here.
build = mkdir -p $(B) && { flock -n $(B)/.lock true || echo '  waiting    for another build in this folder'; } && \
	flock $(B)/.lock $(MAKE) -f modules/build.mk --no-print-directory \
	$(if $(filter-out 0,$(V)),,-s) -k -j$(JOBS)

.PHONY: all help deps headers demo test chaos unit fuzz bench install uninstall deb fmt clean distclean compat

all:
	$(Q)$(build) all

help:
	@echo 'make             build the modules and the command signalbox against the Kamailio that is installed'
	@echo 'make deps        Debian packages that are missing (root or sudo; starts no service), Kamailio'"'"'s headers, npm packages'
	@echo 'make demo        deps, build, then a throw-away proxy with real calls; KEEP=1 leaves it running; DB=mariadb takes a MariaDB'
	@echo 'make test        deps, build, unit tests, short fuzzing, integration tests'
	@echo 'make chaos       kills and outages under load, at length (15 min): KILLS (100), OUTAGE_S, RECORDS, SEED, FUZZ_SECONDS; root for some'
	@echo 'make unit        unit tests only; ONLY=name,… some of them; SAN=1 with ASan and UBSan'
	@echo 'make fuzz        every fuzzer for FUZZ_SECONDS (60)'
	@echo 'make bench       measure beside the stock parts; ONLY=name,… some of it'
	@echo 'make compat      build a minimal Kamailio 6.0 and load the modules in it'
	@echo 'make install     into Kamailio'"'"'s module folder and PREFIX (/usr/local); DESTDIR is honoured'
	@echo 'make uninstall   takes away what make install put there; data and changed configuration stay'
	@echo 'make deb         build/deb/signalbox_VERSION_ARCH.deb, for the Kamailio that is installed'
	@echo 'make fmt         clang-format; CHECK=1 only looks'
	@echo 'make clean       what was built; distclean: all of build/, fetched sources too'
	@echo
	@echo 'V=1 shows the commands. KSR_SRC=/path builds against that Kamailio source tree.'

deps:
	$(Q)modules/scripts/deps.sh build run test
	$(Q)$(build) headers node

headers:
	$(Q)$(build) headers

demo:
	$(Q)modules/scripts/deps.sh build run
	$(Q)$(build) all node
	$(Q)exec node tests/demo.mjs

test:
	$(Q)modules/scripts/deps.sh build run test
	$(Q)tests/run-all.sh

chaos:
	$(Q)modules/scripts/deps.sh build run test
	$(Q)tests/run-all.sh chaos

unit:
	$(Q)$(build) unit
	$(Q)tests/unit/run.sh $(B)$(if $(SAN),/san)/unit

fuzz:
	$(Q)modules/scripts/deps.sh build test
	$(Q)$(build) VARIANT=fuzz fuzz
	$(Q)tests/fuzz/run.sh $(B)/fuzz/bin

bench:
	$(Q)modules/scripts/deps.sh build run test bench
	$(Q)$(build) all node bench
	$(Q)exec node tests/bench/bench.mjs $(ONLY)

compat:
	$(Q)modules/scripts/deps.sh build test
	$(Q)modules/scripts/compat.sh

install: all
	$(Q)modules/scripts/install.sh

uninstall:
	$(Q)modules/scripts/uninstall.sh

deb: all
	$(Q)modules/scripts/deb.sh

fmt:
	$(Q)command -v clang-format >/dev/null || { echo 'make fmt needs clang-format: apt-get install clang-format' >&2; exit 1; }
	$(Q)find modules tests \( -name '*.c' -o -name '*.h' \) -print0 | \
		xargs -0 clang-format $(if $(CHECK),--dry-run --Werror,-i)

clean:
	$(Q)[ ! -d $(B) ] || find $(B) -mindepth 1 -maxdepth 1 ! -name headers ! -name node ! -name .lock -exec rm -rf {} +

distclean:
	$(Q)rm -rf $(B)
