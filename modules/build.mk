# SPDX-License-Identifier: GPL-2.0-or-later
#
# Libraries, modules, command and test programs. Called by the Makefile, which
# holds the lock on build/. Only what has sources is built.
#
# VARIANT   (none)  into build/
#           san     into build/san/, with ASan and UBSan: libraries, command, unit tests
#           fuzz    into build/fuzz/, with clang and libFuzzer

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

TOP := $(CURDIR)
TREE := $(TOP)/build
VARIANT ?= $(if $(SAN),san)
B ?= $(TREE)$(if $(VARIANT),/$(VARIANT))
say = @echo "  $(1)"

# ---- what there is ----

MODULE_DIRS := $(filter-out common cli packaging scripts,$(notdir $(patsubst %/,%,$(wildcard modules/*/))))
MODULES := $(strip $(foreach m,$(MODULE_DIRS),$(if $(wildcard modules/$(m)/*.c),$(m))))
CORES := $(strip $(foreach m,$(MODULE_DIRS),$(if $(wildcard modules/$(m)/core/*.c),$(m))))
UNIT := $(basename $(notdir $(wildcard tests/unit/test_*.c)))
FUZZ := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))
BENCH := $(basename $(notdir $(wildcard tests/bench/*.c)))
EXPERIMENTS := $(basename $(notdir $(wildcard tests/experiments/*.c)))

core_lib = $(B)/lib/lib$(1)-core.a
COMMON_LIB := $(if $(wildcard modules/common/*.c),$(B)/lib/libsbcommon.a)
LIBS_ALL := $(foreach m,$(CORES),$(call core_lib,$(m))) $(COMMON_LIB)

# ---- plain C ----

CC := gcc
ifeq ($(VARIANT),san)
CFLAGS_variant := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_variant := -fsanitize=address,undefined
else ifeq ($(VARIANT),fuzz)
CC := clang
CFLAGS_variant := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
LDFLAGS_variant := -fsanitize=fuzzer,address,undefined
else
CFLAGS_variant := -O2
endif

NEEDED := $(if $(filter-out headers node,$(MAKECMDGOALS)),$(shell command -v $(CC) >/dev/null || echo $(CC); \
	command -v pkg-config >/dev/null || echo pkg-config; \
	for l in jansson libcurl nettle libcrypto sqlite3 libmariadb; do pkg-config --exists $$l 2>/dev/null || echo $$l; done))
ifneq ($(NEEDED),)
$(error Not installed, and needed to build: $(NEEDED). `make deps` installs what is missing)
endif

MARIADB_CFLAGS := $(shell pkg-config --cflags libmariadb 2>/dev/null)
INCLUDES := -Imodules/common -Imodules/callstate $(foreach m,$(MODULE_DIRS),-Imodules/$(m) -Imodules/$(m)/core)
CFLAGS_ALL := -g $(CFLAGS_variant) -std=gnu11 -fPIC -pthread -Wall -Wextra -Wshadow -Werror -D_GNU_SOURCE \
	$(INCLUDES) $(MARIADB_CFLAGS) $(CFLAGS)
LDLIBS := -Wl,--as-needed -ljansson -l:libcurl-gnutls.so.4 -lnettle -lmariadb -lsqlite3 -lcrypto -lm -pthread

compile = mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@
program = mkdir -p $(@D) && $(CC) $(LDFLAGS_variant) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(2) $(LDLIBS)
objects = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)))

# A change of these makefiles rebuilds all; a source that went away changes the list.
RULES := modules/build.mk

.PHONY: all headers libs modules cli unit fuzz bench node smoke
all: libs cli $(if $(VARIANT),,modules smoke)

$(B)/obj/%.o: %.c $(RULES)
	$(compile)

libs: $(LIBS_ALL)

# $(eval $(call library,file,objects))
define library
$(1): $(2)
	$$(call say,library    $$(@F)$(if $(VARIANT), ($(VARIANT))))
	mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach m,$(CORES),$(eval $(call library,$(call core_lib,$(m)),$(call objects,modules/$(m)/core/*.c))))
$(if $(COMMON_LIB),$(eval $(call library,$(COMMON_LIB),$(call objects,modules/common/*.c) $(B)/obj/gen/db_schema_files.o)))

# The schema is built in. The folders stand for files that come and go.
SCHEMA := $(sort $(wildcard db/schema/*.sql)) $(sort $(wildcard db/schema/routing/*.sql))
$(B)/gen/db_schema_files.c: $(SCHEMA) db/schema db/schema/routing modules/scripts/embed-schema.sh
	mkdir -p $(@D) && modules/scripts/embed-schema.sh $(SCHEMA) >$@
$(B)/obj/gen/db_schema_files.o: $(B)/gen/db_schema_files.c $(RULES)
	$(compile)

CLI_OBJECTS := $(call objects,modules/cli/*.c)
# all of the command but main(): unit tests link what they need of it
CLI_LIB := $(if $(CLI_OBJECTS),$(B)/lib/libsignalbox-cli.a)
$(if $(CLI_LIB),$(eval $(call library,$(CLI_LIB),$(filter-out %/main.o,$(CLI_OBJECTS)))))
cli: $(if $(CLI_OBJECTS),$(B)/bin/signalbox)
$(B)/bin/signalbox: $(CLI_OBJECTS) $(LIBS_ALL)
	$(call say,command    signalbox)
	$(call program)

# ---- test programs ----

unit: $(UNIT:%=$(B)/unit/%)
$(B)/unit/%: $(B)/obj/tests/unit/%.o $(CLI_LIB) $(LIBS_ALL) $(call objects,tests/unit/lib/*.c)
	$(call say,test       $(@F))
	$(call program,,-lcmocka)

ifeq ($(VARIANT),fuzz)
fuzz: $(FUZZ:%=$(B)/bin/%)
$(B)/bin/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(CLI_LIB) $(LIBS_ALL)
	$(call say,fuzzer     $(@F))
	$(call program)
endif

bench: $(BENCH:%=$(B)/bench/%) $(EXPERIMENTS:%=$(B)/experiments/%)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(LIBS_ALL)
	$(call say,bench      $(@F))
	$(call program)
$(B)/experiments/%: $(B)/obj/tests/experiments/%.o $(LIBS_ALL)
	$(call say,experiment $(@F))
	$(call program)

# ---- Kamailio's modules ----

ifeq ($(VARIANT),)
ifneq ($(KSR_SRC),)
KSR := $(abspath $(KSR_SRC))
KSR := $(firstword $(foreach d,$(KSR) $(KSR)/src,$(if $(wildcard $(d)/Makefile.modules),$(d))) $(KSR)/src)
else
KSR := $(TREE)/headers/current/src
endif
export KSR B TOP

modules: $(MODULES:%=module-%)
libs_of = $(if $(filter $(1),$(CORES)),$(call core_lib,$(1))) $(COMMON_LIB)

# module.mk knows what is out of date, so it is always asked.
define ksr_module
.PHONY: module-$(1)
module-$(1): $(call libs_of,$(1)) $$(KSR)/config.mak
	mkdir -p $$(B)/modules/$(1)
	+$$(MAKE) --no-print-directory -C $$(B)/modules/$(1) -f $$(TOP)/modules/module.mk \
		M=$(1) LIBSSL_SET_MUTEX_SHARED=1 $(1).so
	cmp -s $$(B)/modules/$(1)/$(1).so $$(B)/modules/$(1).so || { \
		echo "  module     $(1).so"; \
		cp $$(B)/modules/$(1)/$(1).so $$(B)/modules/.$(1).so && mv $$(B)/modules/.$(1).so $$(B)/modules/$(1).so; }
endef
$(foreach m,$(MODULES),$(eval $(call ksr_module,$(m))))

headers: $(KSR)/config.mak
ifeq ($(KSR_SRC),)
$(KSR)/config.mak: $(if $(shell modules/scripts/ksr-source.sh --have installed && echo yes),,fetch-headers)
	$(MAKE) -f modules/module.mk configure LIBSSL_SET_MUTEX_SHARED=1
.PHONY: fetch-headers
fetch-headers:
	modules/scripts/ksr-source.sh installed
else
$(KSR)/config.mak:
	modules/scripts/ksr-source.sh --check $(KSR)
	$(MAKE) -f modules/module.mk configure LIBSSL_SET_MUTEX_SHARED=1
endif

smoke: $(MODULES:%=module-%)
	$(if $(MODULES),modules/scripts/smoke.sh $(B)/modules $(MODULES))
endif

# ---- npm packages of the tests ----

node: $(if $(wildcard tests/package-lock.json),$(TREE)/node/.done)
$(TREE)/node/.done: $(wildcard tests/package.json tests/package-lock.json)
	$(call say,npm        packages of the tests)
	mkdir -p $(@D) && cp $^ $(@D)/ && cd $(@D) && \
		npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >npm.log 2>&1 || { \
		echo "npm ci failed; the end of $(@D)/npm.log:" >&2; tail -n 15 npm.log >&2; exit 1; }
	touch $@

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
