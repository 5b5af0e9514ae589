# SPDX-License-Identifier: GPL-2.0-or-later
#
# How one Kamailio module is built: the only place that knows it.
#
#   make -C build/modules/NAME -f modules/module.mk M=NAME NAME.so
#   make -f modules/module.mk configure
#
# From the caller: KSR (src/ of Kamailio's source tree), TOP (this repository),
# B (where the libraries are), LIBSSL_SET_MUTEX_SHARED=1 (as Debian's build has it:
# it is among the flags that the core compares when it loads a module).
# Objects land in the current folder; the sources stay where they are.

SHELL := /bin/bash
.DEFAULT_GOAL := none
COREPATH := $(KSR)

ifeq ($(MAKECMDGOALS),configure)
.PHONY: configure
configure:
	$(MAKE) --no-print-directory -C $(KSR) cfg-defs >$(KSR)/configure.log 2>&1 || { \
		echo "Kamailio's source in $(KSR) does not configure; the end of configure.log there:" >&2; \
		tail -n 10 $(KSR)/configure.log >&2; exit 1; }
else

include $(KSR)/Makefile.defs
auto_gen :=
NAME := $(M).so
S := $(TOP)/modules

# Kamailio's rules take every *.c of the current folder; ours are elsewhere.
MODULE_SOURCES := $(notdir $(wildcard $(S)/$(M)/*.c))
override objs := $(MODULE_SOURCES:.c=.o)
override depends := $(MODULE_SOURCES:.c=.d)
vpath %.c $(S)/$(M)

# -isystem: Kamailio's headers are not held to our warnings. Its tables and find_export() are built on function casts.
DEFS += -O2 -std=gnu11 -isystem $(KSR) -Wextra -Wshadow -Wno-unused-parameter -Wno-cast-function-type -Werror \
	-fmacro-prefix-map=$(S)/$(M)/= -I$(S)/common -I$(S)/$(M) -I$(S)/$(M)/core -I$(S)/callstate

ARCHIVES := $(wildcard $(B)/lib/lib$(M)-core.a) $(wildcard $(B)/lib/libsbcommon.a)
# curl over GnuTLS, digests by nettle: under the module tls all processes of Kamailio share OpenSSL's state, in shared memory, and one
# that is killed in the middle of it would stop the others.
LIBS_callhook := -Wl,--as-needed -ljansson -l:libcurl-gnutls.so.4 -lnettle -lsqlite3 -lmariadb
LIBS += $(ARCHIVES) $(LIBS_$(M)) -Wl,--version-script=$(S)/module.map

override silent_cmd_CC =
override silent_cmd_LD =
override ALLDEP := $(S)/module.mk $(KSR)/Makefile.defs makecfg.lst

include $(KSR)/Makefile.modules
$(NAME): $(ARCHIVES) $(S)/module.map
endif
