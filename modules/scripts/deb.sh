#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make deb: build/deb/signalbox_VERSION_ARCH.deb, for the Kamailio package that is installed, and for no other.
set -euo pipefail
export LC_ALL=C
